package config

import (
	"io"

	"laminate/packager/localfile"
)

// ReadPackage reads the package.toml at file. Invalid content is reported as joined [Problem]
// errors.
func ReadPackage(file string) (Package, error) {
	data, err := read(file)
	if err != nil {
		return Package{}, err
	}
	p, problems := ParsePackage(file, data)
	return p, problems.Err()
}

// ReadBuilder reads the builder.toml at file. The Builder is as complete as possible; it is valid
// if Problems.Err is nil.
func ReadBuilder(file string) (Builder, Problems, error) {
	data, err := read(file)
	if err != nil {
		return Builder{}, nil, err
	}
	b, problems := ParseBuilder(file, data)
	return b, problems, nil
}

// ReadSmoke reads the smoke.toml at file. Invalid content is reported as joined [Problem] errors.
func ReadSmoke(file string) (Smoke, error) {
	data, err := read(file)
	if err != nil {
		return Smoke{}, err
	}
	s, problems := ParseSmoke(file, data)
	return s, problems.Err()
}

// read reads a file. It reads just enough of one that is larger than [MaxSize] for the parser to
// refuse it.
func read(file string) ([]byte, error) {
	f, err := localfile.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxSize+1))
}
