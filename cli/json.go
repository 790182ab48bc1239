package cli

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/builder"
	"laminate/packager"
	"laminate/packager/engine"
	"laminate/packager/sink"
)

// The output of --output json, which docs/output-json.md describes. A change that removes a key or
// changes its meaning needs a new version number.
const jsonSchema = 1

// planJSON is the result of a dry run.
type planJSON struct {
	Schema      int         `json:"schema"`
	Destination string      `json:"destination"`
	Images      []imagePlan `json:"images"`
}

type imagePlan struct {
	Target      string        `json:"target"`
	Kind        string        `json:"kind"`
	Root        string        `json:"root,omitempty"`
	Layers      []layerPlan   `json:"layers"`
	OtherLayers []originCount `json:"other_layers"`
	Total       planTotal     `json:"total"`
	Previous    *previousPlan `json:"previous"`
	Doubled     []doubledPlan `json:"doubled"`
	Replaced    []string      `json:"replaced"`
}

type layerPlan struct {
	Number    int      `json:"number"`
	Kind      string   `json:"kind"`
	Refs      []string `json:"refs"`
	Reason    string   `json:"reason"`
	Origin    string   `json:"origin"`
	Why       string   `json:"why"`
	Inherited string   `json:"inherited,omitempty"`
	Bytes     int64    `json:"bytes"`
	New       bool     `json:"new"`
}

type originCount struct {
	Name   string `json:"name"`
	Layers int    `json:"layers"`
}

type planTotal struct {
	Layers    int   `json:"layers"`
	MaxLayers *int  `json:"max_layers"`
	Bytes     int64 `json:"bytes"`
	NewLayers int   `json:"new_layers"`
	NewBytes  int64 `json:"new_bytes"`
}

type previousPlan struct {
	Image      string   `json:"image"`
	KeptLayers int      `json:"kept_layers"`
	AlsoNew    []string `json:"also_new"`
}

type doubledPlan struct {
	Ref   string `json:"ref"`
	Layer int    `json:"layer"`
	First *int   `json:"first"`
	Bytes *int64 `json:"bytes"`
}

// printPackagesJSON prints the plan of each buildpackage.
func printPackagesJSON(ctx context.Context, w io.Writer, dest string, jobs []*packager.Job) error {
	report := planJSON{Schema: jsonSchema, Destination: dest}
	for _, j := range jobs {
		o, err := j.Outlook(ctx)
		if err != nil {
			return err
		}
		p := newImagePlan(j.Target.String(), string(j.Kind()), o.Doubled)
		p.Root = j.Expansion.Root.String()
		p.add(string(j.Kind()), o)
		p.previous(o, nil)
		p.Total.Layers = len(j.Plan)
		if j.MaxLayers > 0 {
			p.Total.MaxLayers = &j.MaxLayers
		}
		report.Images = append(report.Images, p)
	}
	return writeJSON(w, report)
}

// printBuildersJSON prints the plan of each builder.
func printBuildersJSON(ctx context.Context, w io.Writer, dest string, jobs []*builder.Job) error {
	report := planJSON{Schema: jsonSchema, Destination: dest}
	for _, j := range jobs {
		o, err := j.Outlook(ctx)
		if err != nil {
			return err
		}
		p := newImagePlan(j.Target.String(), "builder", o.Doubled)
		p.add("buildpack", o.Outlook)
		p.add("extension", o.Extensions)
		p.previous(o.Outlook, o.Besides)
		p.Total.Layers, p.Total.MaxLayers = j.Layers.Total(), &j.Layers.Budget
		for _, c := range ownLayers(j.Layers) {
			if c.Layers > 0 {
				p.OtherLayers = append(p.OtherLayers, originCount{c.Name, c.Layers})
			}
		}
		for _, r := range j.Overridden {
			p.Replaced = append(p.Replaced, r.String())
		}
		report.Images = append(report.Images, p)
	}
	return writeJSON(w, report)
}

// newImagePlan returns a plan without null lists.
func newImagePlan(target, kind string, doubled []engine.Double) imagePlan {
	p := imagePlan{Target: target, Kind: kind, Layers: []layerPlan{}, OtherLayers: []originCount{}, Doubled: []doubledPlan{}, Replaced: []string{}}
	for _, d := range doubled {
		one := doubledPlan{Ref: d.Ref.String(), Layer: d.Layer}
		if d.First > 0 {
			one.First = &d.First
		}
		if d.Bytes >= 0 {
			one.Bytes = &d.Bytes
		}
		p.Doubled = append(p.Doubled, one)
	}
	return p
}

// add adds resolved layers.
func (p *imagePlan) add(kind string, o engine.Outlook) {
	for i, l := range o.Layers {
		one := layerPlan{
			Number: len(p.Layers) + 1, Kind: kind, Reason: l.Plan.Reason, Origin: string(l.Origin), Why: l.Why,
			Bytes: o.Bytes[i], New: o.IsNew(i),
		}
		for _, r := range l.Plan.Refs {
			one.Refs = append(one.Refs, r.String())
		}
		p.Total.Bytes += one.Bytes
		if one.New {
			p.Total.NewLayers++
			p.Total.NewBytes += one.Bytes
		} else {
			one.Inherited = l.Inherited.String()
		}
		p.Layers = append(p.Layers, one)
	}
}

// previous adds the previous image, if there is one.
func (p *imagePlan) previous(o engine.Outlook, besides []string) {
	if o.Previous != "" {
		p.Previous = &previousPlan{Image: o.Previous, KeptLayers: o.Kept, AlsoNew: append([]string{}, besides...)}
	}
}

// resultJSON is the result of a run that wrote images.
type resultJSON struct {
	Schema  int          `json:"schema"`
	Outputs []outputJSON `json:"outputs"`
	Layers  struct {
		Built  int `json:"built"`
		Reused int `json:"reused"`
	} `json:"layers"`
	Bytes struct {
		Downloaded int64 `json:"downloaded"`
		Uploaded   int64 `json:"uploaded"`
	} `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

type outputJSON struct {
	Destination string      `json:"destination"`
	Digest      string      `json:"digest"`
	MediaType   string      `json:"media_type,omitempty"`
	Images      []imageJSON `json:"images"`
}

type imageJSON struct {
	Target    string `json:"target"`
	Digest    string `json:"digest,omitempty"`
	ID        string `json:"id"`
	MediaType string `json:"media_type,omitempty"`
	Layers    int    `json:"layers"`
	Bytes     int64  `json:"bytes"`
}

// printResultJSON prints the outputs and the totals of the run.
func printResultJSON(w io.Writer, written []sink.Written, sum totals) error {
	r := resultJSON{Schema: jsonSchema, Outputs: []outputJSON{}, Seconds: sum.took.Round(1e6).Seconds()}
	r.Layers.Built, r.Layers.Reused = sum.built, sum.reused
	r.Bytes.Downloaded, r.Bytes.Uploaded = sum.downloaded, sum.uploaded
	for _, one := range written {
		o := outputJSON{Destination: one.Destination, Digest: one.Digest.String(), MediaType: string(one.MediaType)}
		for _, img := range one.Images {
			i := imageJSON{Target: img.Target.String(), ID: img.ID.String(), MediaType: string(img.MediaType), Layers: img.Layers, Bytes: img.Bytes}
			if img.Digest != (v1.Hash{}) {
				i.Digest = img.Digest.String()
			}
			o.Images = append(o.Images, i)
		}
		r.Outputs = append(r.Outputs, o)
	}
	return writeJSON(w, r)
}
