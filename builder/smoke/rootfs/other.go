//go:build !linux

package rootfs

import (
	"context"
	"errors"

	"laminate/packager/image"
)

var errLinux = errors.New("unpacking a root file system needs Linux; run it in a virtual machine or a container with Linux")

func fill(context.Context, *image.Image, string, Options) (Facts, error) { return Facts{}, errLinux }

func survey(string) (Facts, error) { return Facts{}, errLinux }
