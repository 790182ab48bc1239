//go:build !linux

package smoke

import "io/fs"

// changeTime is not needed where there is no sandbox.
func changeTime(fs.FileInfo) int64 { return 0 }
