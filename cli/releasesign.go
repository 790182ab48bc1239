package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/packager/signing"
	"laminate/packager/sink"
)

// signer returns what signs a digest, as [sign] of release.toml has it, or nil. What is wrong with
// the key or the command is an error now, and not after all the work.
func (r *releaseRun) signer(o sink.Options) (func(context.Context, string, v1.Hash) error, error) {
	sign := r.config.Sign
	if sign == nil {
		return nil, nil
	}
	var key *signing.Key
	if sign.Key != "" {
		var err error
		if key, err = r.signingKey(sign.Key); err != nil {
			return nil, err
		}
	}
	command := signing.Command(sign.Command)
	if len(command) > 0 {
		if err := command.Check(); err != nil {
			return nil, r.config.Problem("sign.command: "+err.Error(), "sign", "command")
		}
		if _, err := exec.LookPath(command[0]); err != nil {
			return nil, r.config.Problem("sign.command: "+err.Error(), "sign", "command")
		}
	}
	return func(ctx context.Context, repository string, digest v1.Hash) error {
		if key != nil {
			if _, err := sink.Sign(ctx, repository+"@"+digest.String(), key, o); err != nil {
				return err
			}
		}
		if len(command) == 0 {
			return nil
		}
		return r.runSigner(ctx, command.For(repository, digest))
	}, nil
}

// signingKey reads a private key. Its password is that of cosign's variable.
func (r *releaseRun) signingKey(file string) (*signing.Key, error) {
	if !filepath.IsAbs(file) {
		file = filepath.Join(r.config.Dir, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, r.config.Problem("sign.key: "+fileReason(file, err), "sign", "key")
	}
	password := r.env("COSIGN_PASSWORD")
	key, err := signing.ParseKey(text, []byte(password))
	switch {
	case errors.Is(err, signing.ErrPassword) && password == "":
		err = errors.New("missing password; set COSIGN_PASSWORD")
	case errors.Is(err, signing.ErrPassword):
		err = errors.New("wrong password in COSIGN_PASSWORD")
	}
	if err != nil {
		return nil, r.config.Problem(fmt.Sprintf("sign.key %s: %v", file, err), "sign", "key")
	}
	return key, nil
}

// runSigner runs the user's program, with the user's environment. What it prints is shown only if it
// fails.
func (r *releaseRun) runSigner(ctx context.Context, args []string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second // what the program has started may keep its output open
	printed, err := cmd.CombinedOutput()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) { // which is that of a program that has succeeded
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if said := printable(strings.TrimSpace(string(printed))); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}
