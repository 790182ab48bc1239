package smoke

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"laminate/packager/config"
)

// projectWarnings returns a warning for an app with a project descriptor that changes what pack builds of
// it, since builds here do not read it.
func projectWarnings(app string) []string {
	keys, err := config.ReadProjectKeys(filepath.Join(app, config.ProjectFile))
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(keys) == 0:
		return nil
	case err != nil:
		return []string{fmt.Sprintf("invalid %s, which pack build refuses: %v", config.ProjectFile, err)}
	}
	return []string{fmt.Sprintf("%s is ignored; pack build takes %s from it", config.ProjectFile, strings.Join(keys, ", "))}
}
