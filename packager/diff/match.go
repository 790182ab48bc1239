package diff

import "slices"

// matchLimit bounds the work on lists that come from images: the product of two lengths.
const matchLimit = 1_000_000

// matched are the indexes of an element in two lists; -1 where it is absent.
type matched struct{ from, to int }

// match aligns two lists by a longest common subsequence, in their order: what is absent from the
// second list comes before what is absent from the first. Of lists beyond the limit, it aligns the
// beginnings and the ends that are equal.
func match(old, new []string) (all []matched) {
	head := 0
	for head < min(len(old), len(new)) && old[head] == new[head] {
		all = append(all, matched{head, head})
		head++
	}
	tail := 0
	for tail < min(len(old), len(new))-head && old[len(old)-1-tail] == new[len(new)-1-tail] {
		tail++
	}
	a, b := old[head:len(old)-tail], new[head:len(new)-tail]
	i, j := 0, 0
	if len(a)*len(b) <= matchLimit {
		longest := lengths(a, b)
		for i < len(a) && j < len(b) {
			switch {
			case a[i] == b[j]:
				all = append(all, matched{head + i, head + j})
				i, j = i+1, j+1
			case longest[i+1][j] >= longest[i][j+1]:
				all = append(all, matched{head + i, -1})
				i++
			default:
				all = append(all, matched{-1, head + j})
				j++
			}
		}
	}
	for ; i < len(a); i++ {
		all = append(all, matched{head + i, -1})
	}
	for ; j < len(b); j++ {
		all = append(all, matched{-1, head + j})
	}
	for t := tail; t > 0; t-- {
		all = append(all, matched{len(old) - t, len(new) - t})
	}
	return all
}

// lengths returns the length of the longest common subsequence of what follows each pair of
// indexes.
func lengths(a, b []string) [][]int32 {
	l := make([][]int32, len(a)+1)
	for i := range l {
		l[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				l[i][j] = l[i+1][j+1] + 1
			} else {
				l[i][j] = max(l[i+1][j], l[i][j+1])
			}
		}
	}
	return l
}

// compareList compares two lists. Elements that occur several times count each time.
func compareList(name string, old, new []string) List {
	l := List{Name: name, Added: []string{}, Removed: []string{}}
	without := func(list, others []string) (kept, rest []string) {
		left := map[string]int{}
		for _, s := range others {
			left[s]++
		}
		rest = []string{}
		for _, s := range list {
			if left[s] > 0 {
				left[s]--
				kept = append(kept, s)
			} else {
				rest = append(rest, s)
			}
		}
		return kept, rest
	}
	var before, after []string
	before, l.Removed = without(old, new)
	after, l.Added = without(new, old)
	l.Reordered = !slices.Equal(before, after)
	return l
}

// differs reports whether the lists differ.
func (l List) differs() bool { return len(l.Added)+len(l.Removed) > 0 || l.Reordered }
