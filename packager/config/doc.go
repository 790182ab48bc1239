// Package config reads buildpack.toml, extension.toml, package.toml, builder.toml and smoke.toml.
// It reports all problems at once, with file and line, in the order of the file.
//
// A file is read in three steps. [Parse] parses it into a [Doc], which records positions.
// [Doc.Decode] decodes it into a struct, and reports unknown keys and wrong types. Validation comes
// last. The results embed their Doc, so that later checks can report positions as well:
//
//	m, problems := config.ParseModule(flatten.Buildpack, file, data)
//	...
//	problems = append(problems, m.Problem("no buildpack has this id", "order", 0, "group", 2))
package config
