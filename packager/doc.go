// Package packager makes buildpackages: it opens what a package.toml or a
// buildpack's directory names, expands and checks it, plans the layers, and
// builds the images, one for each target.
//
// It works in two steps. [Prepare] reads metadata only and reports everything
// that is wrong with the input at once; what it gives can be shown to a person
// as a plan. [Job.Build] then reads content, and builds the layers that exist
// nowhere yet.
package packager
