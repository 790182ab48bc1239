package cache

import (
	"cmp"
	"context"
	"slices"
)

// Info is a summary of a cache.
type Info struct {
	// Limit is the size limit in bytes.
	Limit int64
	// Entries is the number of entries and trees; Bytes is the disk space of all files.
	Entries int
	Bytes   int64
	// Kinds are sorted by name.
	Kinds []Kind
}

// Kind is a summary of the entries of one kind (see [Cache.Put]).
type Kind struct {
	Name    string
	Entries int
	// Bytes counts a blob that several entries share only once.
	Bytes int64
}

// Info reads all entries, but not the blobs. The size of a tree is that of its record.
func (c *Cache) Info(ctx context.Context) (Info, error) {
	if c == nil {
		return Info{}, nil
	}
	info := Info{Limit: c.limit}
	kept, err := c.list(ctx, entries)
	if err != nil {
		return info, err
	}
	held, err := c.list(ctx, blobs)
	if err != nil {
		return info, err
	}
	unfinished, err := c.list(ctx, temps)
	if err != nil {
		return info, err
	}
	grown, err := c.listTrees(ctx)
	if err != nil {
		return info, err
	}
	info.Bytes = sum(kept) + sum(held) + sum(unfinished) + sum(grown)
	sizes := map[string]int64{}
	for _, f := range held {
		sizes[f.name] = f.size
	}
	kinds := map[string]Kind{}
	for _, f := range kept {
		e, _, err := c.readEntry(f.name)
		if err != nil {
			continue // unusable
		}
		k := kinds[kind(e.Key)]
		k.Name, k.Entries, k.Bytes = kind(e.Key), k.Entries+1, k.Bytes+f.size
		if e.Blob != nil {
			k.Bytes += sizes[e.Blob.name()]
			delete(sizes, e.Blob.name())
		}
		kinds[k.Name] = k
		info.Entries++
	}
	for _, f := range grown {
		if e, err := c.readTree(f.name); err == nil {
			k := kinds[kind(e.Key)]
			kinds[kind(e.Key)] = Kind{kind(e.Key), k.Entries + 1, k.Bytes + f.size}
			info.Entries++
		}
	}
	for _, k := range kinds {
		info.Kinds = append(info.Kinds, k)
	}
	slices.SortFunc(info.Kinds, func(a, b Kind) int { return cmp.Compare(a.Name, b.Name) })
	return info, nil
}
