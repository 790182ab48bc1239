package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/docker/cli/cli/config/types"
	"github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
)

const (
	// helperTime is the default of [DockerKeychain.HelperTime].
	helperTime = time.Minute
	// helperNotices is the divisor of the time after which a notice says what the run waits for.
	helperNotices = 60
	// helperPipes is how long to wait for the output of a killed helper, which its child processes
	// may hold open.
	helperPipes = time.Second
	// tokenUser is the user name that marks the secret as an identity token.
	tokenUser = "<token>"
)

// errHelperTime is the cause of killing a helper that takes too long.
var errHelperTime = errors.New("no response")

// ask runs a credential helper for the key. It ends with the context, or after HelperTime: a helper
// may wait for a prompt that is not visible.
func (k *DockerKeychain) ask(ctx context.Context, helper, key string) (types.AuthConfig, error) {
	limit := cmp.Or(k.HelperTime, helperTime)
	ended, cancel := context.WithTimeoutCause(ctx, limit, errHelperTime)
	defer cancel()
	notice := time.AfterFunc(limit/helperNotices, func() {
		k.warn(fmt.Sprintf("waiting for credential helper %s (%s)", helper, k.file.Filename))
	})
	defer notice.Stop()
	found, err := client.Get(func(args ...string) client.Program { return newHelperRun(ended, helper, args) }, key)
	switch {
	case credentials.IsErrCredentialsNotFound(err):
		return types.AuthConfig{}, nil
	case err != nil && ctx.Err() != nil:
		return types.AuthConfig{}, fmt.Errorf("credential helper %s: %w", helper, context.Cause(ctx))
	case err != nil && ended.Err() != nil:
		return types.AuthConfig{}, fmt.Errorf("credential helper %s (%s): %w in %v; unlock it, or remove it from the file", helper, k.file.Filename, errHelperTime, limit)
	case err != nil:
		return types.AuthConfig{}, fmt.Errorf("credential helper %s (%s): %s; repair it, or remove it from the file", helper, k.file.Filename, helperSaid(err))
	case found.Username == tokenUser:
		return types.AuthConfig{IdentityToken: found.Secret}, nil
	}
	return types.AuthConfig{Username: found.Username, Password: found.Secret}, nil
}

// helperRun runs a helper with a context. It implements client.Program.
type helperRun struct{ cmd *exec.Cmd }

func newHelperRun(ctx context.Context, helper string, args []string) *helperRun {
	cmd := exec.CommandContext(ctx, helper, args...)
	cmd.Stderr = os.Stderr // like the docker command: it may be a prompt
	cmd.WaitDelay = helperPipes
	return &helperRun{cmd}
}

// Input implements client.Program.
func (r *helperRun) Input(in io.Reader) { r.cmd.Stdin = in }

// Output implements client.Program.
func (r *helperRun) Output() ([]byte, error) { return r.cmd.Output() }

// helperSaid returns the helper's own error message, unless it could contain credentials.
func helperSaid(err error) string {
	why, out, _ := strings.Cut(strings.TrimPrefix(err.Error(), "error getting credentials - err: "), ", out: ")
	if out = strings.Trim(out, "`"); out != "" && !strings.Contains(out, "Secret") {
		why += ": " + out
	}
	return Shorten(why)
}
