package simulate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"laminate/builder/history"
	"laminate/flatten"
	"laminate/flatten/auto"
)

// Options are the options of [Run].
type Options struct {
	History *history.File
	// Plans are names of [Plans].
	Plans []string
	// Budgets are the numbers of layers available to buildpacks.
	Budgets []int
	// From is the first release that is scored; earlier ones are planned only. "" means the first.
	From string
}

// Row is the result of one plan under one budget, over the scored releases. Bytes are compressed,
// of layers of buildpacks.
type Row struct {
	Plan            string `json:"plan"`
	BuildpackLayers int    `json:"buildpackLayers"` // the budget
	LayersMax       int    `json:"layersMax"`
	LayersMedian    int    `json:"layersMedian"`
	// Bytes are what a user of a release pulls for the next one; layers with equal refs are reused.
	MeanBytes int64 `json:"meanBytes"`
	P50Bytes  int64 `json:"p50Bytes"`
	P95Bytes  int64 `json:"p95Bytes"`
	// MeanBytesTenLater is the same for the tenth next release; 0 if the history is shorter.
	MeanBytesTenLater int64 `json:"meanBytesTenLater"`
	// MeanBytesPrefix is the same if only the longest identical prefix is reused, as in Docker's
	// graph driver.
	MeanBytesPrefix int64 `json:"meanBytesPrefix"`
	// Budgeted reports whether the plan depends on the budget.
	Budgeted bool `json:"-"`
}

// Result is a row for each plan and budget, in the order of the options.
type Result struct {
	Builder string `json:"-"`
	// Steps is the number of updates from one release to the next.
	Steps    int    `json:"-"`
	From, To string `json:"-"`
	Rows     []Row  `json:"rows"`
}

// Run runs the simulation. It replays concurrently; the result is deterministic.
func Run(ctx context.Context, o Options) (*Result, error) {
	from, plans, err := o.check()
	if err != nil {
		return nil, err
	}
	r := prepare(o.History)
	releases := o.History.Releases
	result := &Result{
		Builder: o.History.Builder, Steps: len(releases) - 1 - from,
		From: releases[from].Version, To: releases[len(releases)-1].Version,
		Rows: make([]Row, len(plans)*len(o.Budgets)),
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, p := range plans {
		for k, budget := range o.Budgets {
			if !p.Budgeted && k > 0 {
				continue
			}
			g.Go(func() error {
				row, err := r.run(ctx, p, budget, from)
				result.Rows[i*len(o.Budgets)+k] = row
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, p := range plans {
		for k, budget := range o.Budgets {
			row := &result.Rows[i*len(o.Budgets)+k]
			if !p.Budgeted {
				*row = result.Rows[i*len(o.Budgets)]
			}
			row.BuildpackLayers = budget
		}
	}
	return result, nil
}

// check validates the options, and returns the first scored release and the plans.
func (o Options) check() (from int, plans []Plan, err error) {
	var errs []error
	if o.From != "" {
		from = slices.IndexFunc(o.History.Releases, func(r history.Release) bool { return r.Version == o.From })
	}
	switch {
	case from < 0:
		errs = append(errs, fmt.Errorf("unknown release %s in the history of %s", o.From, o.History.Builder))
	case from+1 >= len(o.History.Releases):
		errs = append(errs, errors.New("no release after the first that is scored"))
	}
	known := Plans()
	for _, name := range o.Plans {
		i := slices.IndexFunc(known, func(p Plan) bool { return p.Name == name })
		if i < 0 {
			errs = append(errs, fmt.Errorf("unknown plan %q", name))
			continue
		}
		plans = append(plans, known[i])
	}
	for _, b := range o.Budgets {
		if b < 1 {
			errs = append(errs, fmt.Errorf("invalid budget of %d layers", b))
		}
	}
	if len(o.Plans) == 0 || len(o.Budgets) == 0 {
		errs = append(errs, errors.New("missing plan or budget"))
	}
	return from, plans, errors.Join(errs...)
}

// replay is a history prepared for replays. It is immutable.
type replay struct {
	file     *history.File
	modules  flatten.Modules
	releases []release
}

type release struct {
	expansion flatten.Expansion
	inputs    []auto.Module
}

func prepare(f *history.File) *replay {
	r := &replay{file: f, modules: f.Modules()}
	for _, e := range f.Expansions() {
		r.releases = append(r.releases, release{expansion: e, inputs: inputs(f, e)})
	}
	return r
}

func (r *replay) size(ref flatten.Ref) int64 {
	bytes, _ := r.file.Size(ref)
	return bytes
}

// run replays the history under a plan.
func (r *replay) run(ctx context.Context, p Plan, budget, from int) (Row, error) {
	plan := p.start(r, budget)
	s := score{from: from}
	for i := range r.releases {
		if err := ctx.Err(); err != nil {
			return Row{}, err
		}
		layers, err := plan(i)
		if err != nil {
			return Row{}, fmt.Errorf("plan %s: %w", p.Name, err)
		}
		s.add(i, r.pulled(layers))
	}
	row := s.row()
	row.Plan, row.Budgeted = p.Name, p.Budgeted
	return row, nil
}
