package engine

import (
	"context"
	"fmt"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/source"
)

// reports are what was found in layers of which nothing is said. Each is looked
// at once in a run.
type reports struct {
	mu  sync.Mutex
	all map[*source.Layer]*seen
}

// seen is a layer that was looked at, by this run or an earlier one.
type seen struct {
	mu    sync.Mutex
	known bool
	layer.Report
	layer v1.Layer // in the shape in which it goes into another image
}

func newReports() *reports { return &reports{all: map[*source.Layer]*seen{}} }

// of gives the report on the layer of a module. What went wrong is not
// remembered.
func (r *reports) of(ctx context.Context, k *Maker, m *source.Module) (*seen, error) {
	r.mu.Lock()
	s := r.all[m.Layer]
	if s == nil {
		s = &seen{}
		r.all[m.Layer] = s
	}
	r.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known {
		return s, nil
	}
	var err error
	s.known, err = s.look(ctx, k, m)
	return s, err
}

func (s *seen) look(ctx context.Context, k *Maker, m *source.Module) (bool, error) {
	have := m.Layer
	if report, ok := k.kept.report(ctx, m.Kind, have); ok && k.kept.canStandFor(ctx, m) {
		s.Report, s.layer = report, watch(have, m.Kind, m.Source, report.Pieces)
		return true, nil
	}
	local, err := k.blobs.local(ctx, have)
	if err != nil {
		return false, err
	}
	if s.Report, err = layer.Inspect(ctx, m.Kind, have.Refs, local.open); err != nil {
		return false, fmt.Errorf("%s: %w", m.Source, err)
	}
	k.kept.keepReport(m.Kind, have, s.Report)
	s.layer = local.reuse()
	return true, nil
}

// lookJobs is how many layers are looked at at once.
const lookJobs = 4

// look looks at the layers of sources that a plan takes and nobody knows. What
// is wrong is told in the order of the plan.
func (k *Maker) look(ctx context.Context, ms Modules, plan flatten.LayerPlan) error {
	errs := make([]error, len(plan))
	var group errgroup.Group
	group.SetLimit(lookJobs)
	for i, planned := range plan {
		m := ms[planned.Refs[0]]
		if have := k.inSource(ms, planned); have == nil || !isLookedAt(have, planned) {
			continue
		}
		ids, err := k.contentIDs(ctx, ms, planned.Refs)
		if errs[i] = err; err != nil || k.inPrevious(m, planned.Refs, ids) != nil {
			continue
		}
		group.Go(func() error {
			_, errs[i] = k.reports.of(ctx, k, m)
			return nil
		})
	}
	_ = group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
