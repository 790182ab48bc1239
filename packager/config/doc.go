// Package config reads the TOML files that say what to package, buildpack.toml,
// extension.toml and package.toml, and tells everything that is wrong with them
// at once: each problem with its file and line, in the order of the file.
//
// A file is read in three steps. [Parse] reads it into a [Doc], which knows
// where everything stands. [Doc.Decode] takes the values that a struct has
// fields for, and reports unknown keys and values of a wrong type. What the
// values mean is checked last; the results embed their Doc, so that whoever
// finds fault with them later can point at the line as well:
//
//	m, problems := config.ParseModule(flatten.Buildpack, file, data)
//	...
//	problems = append(problems, m.Problem("no buildpack has this id", "order", 0, "group", 2))
package config
