package config

// ProjectFile is the name of the project descriptor in an app's directory, which pack build reads.
const ProjectFile = "project.toml"

// projectKeys are the keys of project.toml that change what pack builds with a given builder, below
// the table that has them, by schema version.
var (
	projectKeys = [][]any{
		{"include"}, {"exclude"}, {"group"}, {"pre"}, {"post"}, {"build", "env"}, {"env", "build"},
	}
	firstProjectKeys = [][]any{{"include"}, {"exclude"}, {"buildpacks"}, {"pre"}, {"post"}, {"env"}}
)

// ReadProjectKeys returns the keys in the project.toml at file that change what pack builds with a
// given builder, such as io.buildpacks.exclude. Invalid content is reported as joined [Problem]
// errors.
func ReadProjectKeys(file string) ([]string, error) {
	data, err := read(file)
	if err != nil {
		return nil, err
	}
	doc, problems := Parse(file, data)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	table, keys := []any{"io", "buildpacks"}, projectKeys
	if !doc.Has("_", "schema-version") { // schema version 0.1
		table, keys = []any{"build"}, firstProjectKeys
	}
	var all []string
	for _, key := range keys {
		if path := at(table, key...); doc.Has(path...) {
			all = append(all, dotted(path))
		}
	}
	return all, nil
}
