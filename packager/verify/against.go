package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Against compares the modules of images with those of others, pair by pair of platforms: they must
// have the same refs with the same files, in whatever layers. It reads the layers of modules whose
// content identities differ once more, and names the first files that differ; times, owners and the
// order of entries do not count.
func Against(ctx context.Context, a, b []*Report) ([]Finding, error) {
	differences := []Finding{}
	add := func(target string, f Finding) {
		f.Severity = Broken
		if len(a)+len(b) > 2 {
			f.Target = target
		}
		differences = append(differences, f)
	}
	others, order := byTarget(b)
	mine, targets := byTarget(a)
	if len(a) == 1 && len(b) == 1 {
		targets, others = targets[:1], map[string]*Report{targets[0]: b[0]} // also of other platforms
	}
	for _, t := range targets {
		other := others[t]
		if other == nil {
			add(t, Finding{What: Platform, Message: fmt.Sprintf("no image for %s to compare with", t)})
			continue
		}
		found, err := pair(ctx, mine[t], other)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			add(t, f)
		}
	}
	for _, t := range order {
		if mine[t] == nil && len(a)+len(b) > 2 {
			add(t, Finding{What: Platform, Message: fmt.Sprintf("no image for %s", t)})
		}
	}
	return differences, nil
}

// byTarget returns the first report for each target, and the targets in order.
func byTarget(reports []*Report) (map[string]*Report, []string) {
	all, order := map[string]*Report{}, []string{}
	for _, r := range reports {
		target := strings.TrimSuffix(r.Target, "/v8") // the default variant of arm64
		if v := r.img.Config.OSVersion; v != "" {
			target += " " + v
		}
		if all[target] == nil {
			all[target] = r
			order = append(order, target)
		}
	}
	return all, order
}

// pair compares two images.
func pair(ctx context.Context, a, b *Report) ([]Finding, error) {
	var found []Finding
	refs := slices.SortedFunc(maps.Keys(a.parts), module.compare)
	for m := range b.parts {
		if _, is := a.parts[m]; !is {
			refs = append(refs, m)
		}
	}
	slices.SortFunc(refs, module.compare)
	for _, m := range refs {
		f := Finding{What: Modules, Ref: m.ref.String()}
		mine, hasMine := a.parts[m]
		other, hasOther := b.parts[m]
		switch {
		case !hasMine:
			f.Message = fmt.Sprintf("%s is only in the image to compare with", m.kind)
		case !hasOther:
			f.Message, f.Layer = fmt.Sprintf("%s is not in the image to compare with", m.kind), mine.layer+1
		case mine.facts.ContentID.Hex == "" || other.facts.ContentID.Hex == "":
			f.What, f.Message, f.Layer = Files, "not compared: it could not be read in one of the images", mine.layer+1
		case mine.facts.ContentID == other.facts.ContentID:
			continue
		default:
			paths, more, err := differing(ctx, m, mine, other)
			if err != nil {
				return nil, err
			}
			if len(paths) == 0 {
				continue
			}
			f.What, f.Layer = Files, mine.layer+1
			f.Message = "files differ: " + strings.Join(paths, ", ")
			if more > 0 {
				f.Message += fmt.Sprintf(" and %d more", more)
			}
		}
		found = append(found, f)
	}
	return found, nil
}
