package smoke

import (
	"io/fs"
	"syscall"
)

// changeTime is when a file was changed last, which a program cannot set.
func changeTime(info fs.FileInfo) int64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return st.Ctim.Nano()
}
