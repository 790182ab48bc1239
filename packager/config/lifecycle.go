package config

import (
	"errors"
	"strings"

	"github.com/BurntSushi/toml"
)

// checkLifecycle reports what the lifecycle and pack refuse: both read TOML 1.0, and go-toml reads
// 1.1. It uses their parser, in the version of lifecycles up to 0.21; from 1.6 on that parser reads
// TOML 1.1, which released lifecycles do not.
func (d Doc) checkLifecycle(data []byte) Problems {
	// A Primitive is not decoded, and not copied.
	_, err := toml.Decode(string(data), new(map[string]toml.Primitive))
	if err == nil {
		return nil
	}
	p := Problem{File: d.file, Message: strings.TrimPrefix(err.Error(), "toml: ")}
	if at := (toml.ParseError{}); errors.As(err, &at) {
		p.Message, p.Line, p.Column = at.Message, at.Position.Line, at.Position.Col
	}
	p.Message = printable(strings.TrimSuffix(p.Message, ".")) + "; the lifecycle and pack read TOML 1.0 only"
	return Problems{p}
}
