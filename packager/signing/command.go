package signing

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Command is the command line of a signing program, with placeholders in its arguments:
//
//	{ref}         REPOSITORY@DIGEST
//	{repository}  the repository, with the registry
//	{digest}      sha256:HEX
//
// It runs without a shell, so nothing needs quoting. For example: cosign sign --yes {ref}.
type Command []string

// placeholder matches placeholders, and what was meant to be one.
var placeholder = regexp.MustCompile(`\{[A-Za-z_-]+\}`)

var placeholders = []string{"{ref}", "{repository}", "{digest}"}

// Check returns an error if the command cannot sign a digest.
func (c Command) Check() error {
	if len(c) == 0 || c[0] == "" {
		return errors.New("no command; write a list of the program and its arguments, such as [\"cosign\", \"sign\", \"--yes\", \"{ref}\"]")
	}
	if p := placeholder.FindString(c[0]); p != "" {
		return fmt.Errorf("invalid program %q: %s is for arguments", c[0], p)
	}
	named := false
	for _, arg := range c[1:] {
		if strings.ContainsRune(arg, 0) {
			return fmt.Errorf("invalid argument %q", arg)
		}
		for _, p := range placeholder.FindAllString(arg, -1) {
			if !slices.Contains(placeholders, p) {
				return fmt.Errorf("unknown placeholder %s; use {ref}, {repository} or {digest}", p)
			}
			named = named || p != "{repository}"
		}
	}
	if !named {
		return errors.New("no argument has {ref} or {digest}, so the command does not know what to sign")
	}
	return nil
}

// For returns the command line for a digest in a repository. Arguments are neither split nor expanded
// again.
func (c Command) For(repository string, digest v1.Hash) []string {
	values := strings.NewReplacer("{ref}", repository+"@"+digest.String(), "{repository}", repository, "{digest}", digest.String())
	args := slices.Clone([]string(c))
	for i := 1; i < len(args); i++ {
		args[i] = values.Replace(args[i])
	}
	return args
}
