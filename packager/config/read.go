package config

import (
	"io"

	"laminate/packager/localfile"
)

// ReadPackage reads the package.toml at file. The error is a [Problems] where
// the file can be read and is wrong.
func ReadPackage(file string) (Package, error) {
	data, err := read(file)
	if err != nil {
		return Package{}, err
	}
	p, problems := ParsePackage(file, data)
	return p, problems.Err()
}

// ReadBuilder reads the builder.toml at file. The problems may be warnings only;
// where they are not, the Builder is as complete as they let it be.
func ReadBuilder(file string) (Builder, Problems, error) {
	data, err := read(file)
	if err != nil {
		return Builder{}, nil, err
	}
	b, problems := ParseBuilder(file, data)
	return b, problems, nil
}

// read returns the content of a file, and of one that is larger than [MaxSize]
// so much that the parser refuses it.
func read(file string) ([]byte, error) {
	f, err := localfile.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxSize+1))
}
