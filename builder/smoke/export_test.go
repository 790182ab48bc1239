package smoke

import (
	"context"

	"laminate/builder/smoke/sandbox"
	"laminate/packager/config"
	"laminate/packager/image"
	"laminate/packager/progress"
)

// HasFile is hasFile, for tests.
var HasFile = hasFile

// Launch is launch, for tests.
func Launch(ctx context.Context, app *image.Image, want *config.SmokeLaunch, workDir string) (*Launched, error) {
	return launch(ctx, launchOptions{app: app, want: want, limits: sandbox.Limits{}, workDir: workDir, log: progress.Discard})
}
