package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/engine"
)

// printPlans prints the plan of each image.
func printPlans(ctx context.Context, w io.Writer, jobs []*packager.Job) error {
	for i, j := range jobs {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := printPlan(ctx, w, j); err != nil {
			return err
		}
	}
	return nil
}

func printPlan(ctx context.Context, w io.Writer, j *packager.Job) error {
	o, err := j.Outlook(ctx)
	if err != nil {
		return err
	}
	spare := ""
	if j.MaxLayers > 0 {
		spare = fmt.Sprintf(" of at most %d, %d to spare", j.MaxLayers, j.MaxLayers-len(j.Plan))
	}
	_, err = fmt.Fprintf(w, "%s for %s: %s in %s%s\n", j.Expansion.Root, j.Target, count(len(j.Expansion.Refs), string(j.Kind())), count(len(j.Plan), "layer"), spare)
	return errors.Join(err, printLayers(w, j.Plan, o), printOutlook(w, o, nil), printDoubled(w, o.Doubled))
}

// printLayers prints a layer plan, one line per ref. The line of a layer's first ref also has the
// number of the layer, its size if known, and the reason. A plus before the size marks a layer that
// the previous image does not have.
func printLayers(w io.Writer, plan flatten.LayerPlan, o engine.Outlook) error {
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for i, l := range plan {
		for k, r := range l.Refs {
			number, size, reason := "", "", ""
			if k == 0 {
				number, reason = fmt.Sprintf("%4d", i+1), l.Reason
				if len(o.Bytes) > 0 {
					size = layerSize(o, i)
				}
			}
			if len(o.Bytes) > 0 {
				number += "\t" + fmt.Sprintf("%9s", size)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\n", number, r, reason) // Flush returns errors
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

func layerSize(o engine.Outlook, i int) string {
	if o.Previous != "" && o.IsNew(i) {
		return "+" + bytes(o.Bytes[i])
	}
	return bytes(o.Bytes[i])
}

// printOutlook prints the totals of the layers, and what is new to clients that have the previous
// image. Besides are other layers that are new.
func printOutlook(w io.Writer, o engine.Outlook, besides []string) error {
	all, fresh, layers := int64(0), int64(0), 0
	above := int64(0)
	for i, n := range o.Bytes {
		all += n
		if o.IsNew(i) {
			fresh += n
			layers++
		}
		if i >= o.Kept {
			above += n
		}
	}
	if o.Previous == "" {
		_, err := fmt.Fprintf(w, "%s unpacked\n", bytes(all))
		return err
	}
	pulled := []string{}
	if layers > 0 {
		pulled = append(pulled, fmt.Sprintf("%s in %s (+)", bytes(fresh), count(layers, "layer")))
	}
	if pulled = append(pulled, besides...); len(pulled) == 0 {
		pulled = []string{"nothing"}
	}
	line := fmt.Sprintf("%s unpacked; clients that have %s pull\n   %s\n", bytes(all), o.Previous, strings.Join(pulled, ", "))
	if n := len(o.Bytes) - o.Kept; n > layers {
		line += fmt.Sprintf("   Docker's engine, which reuses only the layers below the first change, pulls %s in %s\n", bytes(above), count(n, "layer"))
	}
	_, err := io.WriteString(w, line)
	return err
}

// printDoubled prints the unused contents of layers.
func printDoubled(w io.Writer, doubled []engine.Double) error {
	for _, d := range doubled {
		size := "of unknown size"
		if d.Bytes >= 0 {
			size = bytes(d.Bytes) + " unpacked"
		}
		line := fmt.Sprintf("twice: %s, in layer %d and again in layer %d, %s", d.Ref, d.First, d.Layer, size)
		if d.First == 0 {
			line = fmt.Sprintf("unused: %s in layer %d, %s", d.Ref, d.Layer, size)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
