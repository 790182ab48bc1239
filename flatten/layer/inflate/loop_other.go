//go:build !amd64 || purego

package inflate

var hasLoop = false

// loop is in assembly for other processors.
func (d *decoder) loop(limit int) (done bool, err error) { return false, nil }
