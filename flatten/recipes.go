package flatten

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// RecipesLabel is the value of laminate's own label: the pieces of each layer, in order, by diffID.
// With it, the next run plans, reuses and compares layers without reading them.
//
// It is compact, since some tools refuse long labels: diffIDs, recipes and content identities are
// base64 of the hash alone. A layer of one piece has neither recipe nor content identity: both
// follow from its diffID. For example, with two layers:
//
//	{"<diffID>":{"p":["acme/a@1.0.0 5120"]},
//	 "<diffID>":{"r":"<recipe>","p":["acme/b@1.0.0 3072 <content identity>","acme/c@1.0.0 1536 <content identity>"]}}
//
// The previous, longer form is still read. It dates from when each piece in a layer had its own id
// directory entry (see [Neighbours]); entries for layers with refs that share an id directory are
// ignored.
type RecipesLabel map[v1.Hash][]Facts

// Add adds the layer with the diffID.
func (l RecipesLabel) Add(diffID v1.Hash, pieces []Facts) { l[diffID] = slices.Clone(pieces) }

// Facts returns the pieces of the layer with the diffID, or nil if the label has no entry for it.
func (l RecipesLabel) Facts(diffID v1.Hash) []Facts { return slices.Clone(l[diffID]) }

// layerRecord is the label's entry for one layer.
type layerRecord struct {
	Recipe string   `json:"r,omitempty"`
	Pieces []string `json:"p,omitempty"` // ref, length and, if there are several, content identity
}

// longRecord is an entry in the longer form.
type longRecord struct {
	Recipe string `json:"recipe"`
	Pieces []struct {
		ID      string `json:"id"`
		Version string `json:"version"`
		Content string `json:"content"` // content identity
		Length  int64  `json:"length"`  // bytes, uncompressed
	} `json:"pieces"`
}

// MarshalJSON returns the short form.
func (l RecipesLabel) MarshalJSON() ([]byte, error) {
	records := map[string]layerRecord{}
	for diffID, pieces := range l {
		var r layerRecord
		var err error
		for _, p := range pieces {
			record := fmt.Sprintf("%s %d", p.Ref, p.Length)
			if len(pieces) > 1 {
				var id string
				if id, err = shortHash(p.ContentID); err != nil {
					return nil, err
				}
				record += " " + id
			}
			r.Pieces = append(r.Pieces, record)
		}
		if len(pieces) > 1 {
			if r.Recipe, err = shortHash(Recipe(pieces)); err != nil {
				return nil, err
			}
		}
		key, err := shortHash(diffID)
		if err != nil {
			return nil, err
		}
		records[key] = r
	}
	return json.Marshal(records)
}

// ParseRecipesLabel parses the value of [RecipesLabelKey], in either form. It ignores inconsistent
// entries, which laminate cannot have written: a recipe that does not match the pieces, or pieces
// that no layer can hold.
func ParseRecipesLabel(value string) (RecipesLabel, error) {
	var records map[string]json.RawMessage
	if err := json.Unmarshal([]byte(value), &records); err != nil {
		return nil, fmt.Errorf("%s label: %w", RecipesLabelKey, err)
	}
	l := RecipesLabel{}
	for _, key := range slices.Sorted(maps.Keys(records)) {
		read := readShort
		if strings.Contains(key, ":") {
			read = readLong
		}
		diffID, pieces, err := read(key, records[key])
		if err != nil {
			return nil, fmt.Errorf("%s label: %w", RecipesLabelKey, err)
		}
		if _, twice := l[diffID]; len(pieces) > 0 && canBe(pieces) && !twice {
			l[diffID] = pieces
		}
	}
	return l, nil
}

// readShort parses an entry in the short form; it returns no pieces for an inconsistent one.
func readShort(key string, value json.RawMessage) (diffID v1.Hash, pieces []Facts, err error) {
	var record layerRecord
	if err := json.Unmarshal(value, &record); err != nil {
		return v1.Hash{}, nil, err
	}
	diffID, is := longHash(key)
	if !is {
		return v1.Hash{}, nil, nil
	}
	isAlone := len(record.Pieces) == 1
	for _, text := range record.Pieces {
		ref, rest, _ := strings.Cut(text, " ")
		length, content, _ := strings.Cut(rest, " ")
		p := Facts{ContentID: diffID}
		var errs [2]error
		p.Ref, errs[0] = ParseRef(ref)
		p.Length, errs[1] = strconv.ParseInt(length, 10, 64)
		is := isAlone && content == ""
		if !isAlone {
			p.ContentID, is = longHash(content)
		}
		if errs != [2]error{} || !is {
			return v1.Hash{}, nil, nil
		}
		pieces = append(pieces, p)
	}
	if recipe, is := longHash(record.Recipe); !isAlone && (!is || recipe != Recipe(pieces)) || isAlone && record.Recipe != "" {
		return v1.Hash{}, nil, nil
	}
	return diffID, pieces, nil
}

// readLong is readShort for the longer form.
func readLong(key string, value json.RawMessage) (diffID v1.Hash, pieces []Facts, err error) {
	var record longRecord
	if err := json.Unmarshal(value, &record); err != nil {
		return v1.Hash{}, nil, err
	}
	diffID, err = v1.NewHash(key)
	if err != nil {
		return v1.Hash{}, nil, nil
	}
	var refs []Ref
	for _, p := range record.Pieces {
		id, err := v1.NewHash(p.Content)
		if err != nil {
			return v1.Hash{}, nil, nil
		}
		ref := Ref{ID: p.ID, Version: p.Version}
		refs = append(refs, ref)
		pieces = append(pieces, Facts{Ref: ref, ContentID: id, Length: p.Length})
	}
	isAlone := len(pieces) == 1
	if Recipe(pieces).String() != record.Recipe || isAlone && pieces[0].ContentID != diffID || ShareIDDir(refs) {
		return v1.Hash{}, nil, nil
	}
	return diffID, pieces, nil
}

// canBe reports whether a layer can hold the pieces: no duplicate directories, pieces that share an
// id directory next to each other, and lengths in whole tar blocks.
func canBe(pieces []Facts) bool {
	seen := map[string]bool{}
	var refs []Ref
	for _, p := range pieces {
		dir := Buildpack.Dir(p.Ref)
		if p.Length <= 0 || p.Length%512 != 0 || p.Ref.Check() != nil || seen[dir] {
			return false
		}
		seen[dir] = true
		refs = append(refs, p.Ref)
	}
	return slices.Equal(refs, Neighbours(refs))
}

// shortHash encodes a SHA-256 as base64, without the algorithm.
func shortHash(h v1.Hash) (string, error) {
	b, err := hex.DecodeString(h.Hex)
	if err != nil || h.Algorithm != "sha256" || len(b) != 32 {
		return "", fmt.Errorf("hash %s: only sha256 is supported", h)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// longHash decodes the output of shortHash.
func longHash(s string) (h v1.Hash, is bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(b)}, err == nil && len(b) == 32
}
