package flatten

import (
	"slices"
	"strings"
)

// AnyStack is the stack id that matches all stacks.
const AnyStack = "*"

// CommonStacks returns the stacks that all components support, with the union of their mixins, for
// the buildpackage metadata label. It ignores composites. A component without stacks supports all.
// The result is empty if there is no common stack, or no component.
func CommonStacks(modules []Module) []Stack {
	var common []Stack
	for i, m := range slices.DeleteFunc(slices.Clone(modules), Module.IsComposite) {
		stacks := m.Stacks
		if len(stacks) == 0 {
			stacks = []Stack{{ID: AnyStack}}
		}
		if i == 0 {
			common = stacks
		} else {
			common = commonStacks(common, stacks)
		}
	}
	return common
}

func commonStacks(a, b []Stack) []Stack {
	isAny := func(s Stack) bool { return s.ID == AnyStack }
	switch anyA, anyB := slices.ContainsFunc(a, isAny), slices.ContainsFunc(b, isAny); {
	case anyA && anyB:
		return []Stack{{ID: AnyStack}}
	case anyA:
		return b
	case anyB:
		return a
	}
	var common []Stack
	for _, s := range b {
		i := slices.IndexFunc(a, func(o Stack) bool { return o.ID == s.ID })
		if i < 0 {
			continue
		}
		mixins := slices.Concat(a[i].Mixins, s.Mixins)
		slices.SortFunc(mixins, strings.Compare)
		common = append(common, Stack{ID: s.ID, Mixins: slices.Compact(mixins)})
	}
	return common
}
