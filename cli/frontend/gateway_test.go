package frontend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	fstypes "github.com/tonistiigi/fsutil/types"
)

// A gateway stands in for BuildKit: it knows images by their configs, runs no step, and pulls for real what
// the front end serves.
type gateway struct {
	client.Client // answers to nothing else
	opts          client.BuildOpts
	images        map[string]*v1.ConfigFile
	context       string // the directory of the build context
	empty         bool   // the build context has nothing but the project descriptor elsewhere
	output        string // the directory that the build step exports
	failure       error  // of the build step

	mu       sync.Mutex
	steps    []*pb.ExecOp
	files    []*pb.FileOp
	sources  []*pb.SourceOp
	pulled   []v1.Image
	merged   int
	warnings []string
	vertices []digest.Digest
	excluded []string // patterns of the build context
}

// newGateway returns a gateway of the newest BuildKit, or one that lacks capabilities.
func newGateway(context string, opts map[string]string, lacks ...string) *gateway {
	all := map[string]string{"source": "example.com/laminate-frontend:1"}
	for k, v := range opts {
		all[k] = v
	}
	var llbCaps, caps = pb.Caps.All(), gwpb.Caps.All()
	for _, c := range append(llbCaps, caps...) {
		if slices.Contains(lacks, c.ID) {
			c.Enabled = false
		}
	}
	return &gateway{context: context, images: map[string]*v1.ConfigFile{},
		opts: client.BuildOpts{Opts: all, SessionID: "x", LLBCaps: pb.Caps.CapSet(llbCaps), Caps: gwpb.Caps.CapSet(caps),
			Workers: []client.WorkerInfo{{Platforms: []ocispecs.Platform{{OS: "linux", Architecture: "amd64"}}}}}}
}

func (g *gateway) Inputs(context.Context) (map[string]llb.State, error) { return nil, nil }

func (g *gateway) BuildOpts() client.BuildOpts { return g.opts }

func (g *gateway) ResolveImageConfig(_ context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config := g.images[ref]
	if config == nil {
		return "", "", nil, fmt.Errorf("%s: not found", ref)
	}
	config = config.DeepCopy()
	if config.OS == "" { // an index
		config.OS, config.Architecture = opt.ImageOpt.Platform.OS, opt.ImageOpt.Platform.Architecture
	}
	raw, err := json.Marshal(config)
	return ref, digest.FromBytes(raw), raw, err
}

func (g *gateway) Warn(_ context.Context, _ digest.Digest, text string, _ client.WarnOpts) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.warnings = append(g.warnings, text)
	return nil
}

// Solve returns the reference of what the last operation makes.
func (g *gateway) Solve(ctx context.Context, req client.SolveRequest) (*client.Result, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	result := client.NewResult()
	ref := &dirRef{}
	result.SetRef(ref)
	for _, raw := range req.Definition.Def {
		var op pb.Op
		if err := op.Unmarshal(raw); err != nil {
			return nil, err
		}
		dgst := digest.FromBytes(raw)
		known := slices.Contains(g.vertices, dgst)
		g.vertices = append(g.vertices, dgst)
		if s := op.GetSource(); s != nil && !known {
			g.sources = append(g.sources, s)
		}
		switch {
		case op.GetExec() != nil:
			if ref.dir, ref.err = g.output, g.failure; !known {
				g.steps = append(g.steps, op.GetExec())
			}
		case op.GetFile() != nil && !known:
			g.files = append(g.files, op.GetFile())
		case op.GetMerge() != nil:
			g.merged = len(op.GetMerge().Inputs)
		case strings.HasPrefix(op.GetSource().GetIdentifier(), "local://"):
			if ref.dir = g.context; g.empty && op.GetSource().Identifier == "local://context" {
				ref.dir = g.output
			}
			if text := op.GetSource().Attrs[pb.AttrExcludePatterns]; text != "" && !known {
				if err := json.Unmarshal([]byte(text), &g.excluded); err != nil {
					return nil, err
				}
			}
		case strings.HasPrefix(op.GetSource().GetIdentifier(), "docker-image://127.0.0.1:") && !known:
			if err := g.pull(ctx, strings.TrimPrefix(op.GetSource().GetIdentifier(), "docker-image://")); err != nil {
				return nil, err
			}
		}
	}
	return result, nil
}

// pull pulls an image from the front end, and checks it.
func (g *gateway) pull(ctx context.Context, ref string) error {
	r, err := name.ParseReference(ref)
	if err != nil {
		return err
	}
	img, err := remote.Image(r, remote.WithContext(ctx))
	if err != nil {
		return err
	}
	g.pulled = append(g.pulled, img)
	return validate.Image(img)
}

// dirRef is a directory.
type dirRef struct {
	client.Reference
	dir string
	err error
}

func (r *dirRef) in(name string) string { return filepath.Join(r.dir, filepath.Join("/", name)) }

func (r *dirRef) ReadFile(_ context.Context, req client.ReadRequest) ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	data, err := os.ReadFile(r.in(req.Filename))
	if err != nil {
		return nil, err
	}
	if at := req.Range; at != nil {
		data = data[min(at.Offset, len(data)):]
		data = data[:min(at.Length, len(data))]
	}
	return data, nil
}

func (r *dirRef) StatFile(_ context.Context, req client.StatRequest) (*fstypes.Stat, error) {
	if r.err != nil {
		return nil, r.err
	}
	info, err := os.Lstat(r.in(req.Path))
	if err != nil {
		return nil, err
	}
	return statOf(info), nil
}

func (r *dirRef) ReadDir(_ context.Context, req client.ReadDirRequest) ([]*fstypes.Stat, error) {
	entries, err := os.ReadDir(r.in(req.Path))
	var all []*fstypes.Stat
	for _, e := range entries {
		info, errInfo := e.Info()
		err = errors.Join(err, errInfo)
		all = append(all, statOf(info))
	}
	return all, err
}

func statOf(info fs.FileInfo) *fstypes.Stat {
	return &fstypes.Stat{Path: info.Name(), Mode: uint32(info.Mode()), Size: info.Size()}
}
