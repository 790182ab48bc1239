// Package packager builds buildpackages: it opens the sources in a package.toml or a buildpack's
// directory, expands and checks them, plans the layers, and builds one image per target.
//
// It works in two steps. [Prepare] reads metadata only and reports all errors in the input at once;
// its result can be shown as a plan. [Job.Build] reads content, and builds the layers that do not
// exist yet.
package packager
