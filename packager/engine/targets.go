package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"laminate/flatten"
)

// Targets returns the targets to build for: one for each distribution of the wanted targets, if the
// destination supports it. A single target is always returned.
func (r *Run) Targets(wanted []flatten.Target) ([]flatten.Target, error) {
	var each, fitting []flatten.Target
	var errs []error
	for _, t := range wanted {
		if t.OS != "linux" {
			errs = append(errs, fmt.Errorf("unsupported target %s: laminate makes images for linux only; write linux/amd64 or the like", t))
		}
		for _, one := range t.PerDistro() {
			if slices.ContainsFunc(each, func(o flatten.Target) bool { return o.String() == one.String() }) {
				errs = append(errs, fmt.Errorf("duplicate target %s; remove one", one))
			}
			each = append(each, one)
			if r.options.Fits == nil || r.options.Fits(one) {
				fitting = append(fitting, one)
			}
		}
	}
	switch {
	case len(errs) > 0:
		return nil, errors.Join(errs...)
	case len(each) == 1:
		return each, nil
	case len(fitting) == 0:
		return nil, fmt.Errorf("the destination supports none of the targets %s", TargetList(each))
	case len(fitting) < len(each):
		r.Warn(fmt.Sprintf("of the targets %s, the destination supports %s only", TargetList(each), TargetList(fitting)))
	}
	return fitting, nil
}

// TargetList joins targets with commas.
func TargetList(targets []flatten.Target) string {
	var names []string
	for _, t := range targets {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}

// ForEach prepares a job for each target. It reports errors that all targets share once.
func ForEach[J any](targets []flatten.Target, prepare func(flatten.Target) (J, error)) ([]J, error) {
	jobs, errs := make([]J, len(targets)), make([]error, len(targets))
	for i, t := range targets {
		jobs[i], errs[i] = prepare(t)
	}
	if err := joinByTarget(targets, errs); err != nil {
		return nil, err
	}
	return jobs, nil
}
