package packager

import (
	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/mediatype"
)

// Options are the options of [Prepare]. Without MaxLayers the number of layers is unlimited; the
// default media types are Docker's.
type Options struct {
	engine.Options
	// Config names the sources; see [config.ReadPackage] and [ForBuildpack].
	Config config.Package
}

// family returns the media types of the images.
func (o Options) family() (mediatype.Family, error) {
	return mediatype.For(o.MediaTypes, mediatype.Docker, o.Compression.MediaType())
}

// ForBuildpack returns a package.toml for the module at a location, without dependencies.
func ForBuildpack(kind flatten.Kind, at string) config.Package {
	return config.Package{Kind: kind, URI: at}
}

// sources parses the locations of the root and the dependencies, the root first.
func sources(p config.Package) (all []engine.Source, problems config.Problems) {
	parse := location.ParseListed
	if p.File == "" { // the command line
		parse = location.ParseSource
	}
	root, err := parse(p.URI, p.Dir)
	if err != nil {
		problems = append(problems, p.Problem(err.Error(), string(p.Kind), "uri"))
	}
	all = append(all, engine.Source{Location: root, Kind: p.Kind})
	for i, d := range p.Dependencies {
		loc, key, err := engine.Locate(d.URI, d.Image, p.Dir)
		if err != nil {
			problems = append(problems, p.Problem(err.Error(), "dependencies", i, key))
		}
		all = append(all, engine.Source{Location: loc, Kind: p.Kind, At: config.Problem{File: p.File, Line: d.Line}})
	}
	return all, problems
}
