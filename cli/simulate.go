package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"laminate/builder/history"
	"laminate/builder/simulate"
	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/localfile"
)

// The defaults of the simulation.
var (
	defaultPlans   = []string{"exploded", "composites", "owner-sets", "all", "largest-alone", "auto"}
	defaultBudgets = []string{"20", "30", "40", "60", "90"}
)

// renderings are the values of --output.
var renderings = map[string]func(io.Writer, *simulate.Result) error{
	"text":     printTable,
	"json":     printJSON,
	"markdown": printMarkdown,
	"svg":      func(w io.Writer, r *simulate.Result) error { return write(w, r.SVG()) },
}

func simulateDescription() string {
	var s strings.Builder
	s.WriteString(`It replays the releases of a builder under several layer plans, and prints how many bytes a client pulls that follows them: compressed bytes of the buildpacks' layers. Each release is planned without knowing later ones. FILE is what "laminate builder history" prints, gzipped or not.

The plans:

`)
	for _, p := range simulate.Plans() {
		fmt.Fprintf(&s, "   %-14s", p.Name)
		line := 0
		for _, word := range strings.Fields(p.About) {
			if line+len(word) > 60 {
				s.WriteString("\n" + strings.Repeat(" ", 17))
				line = 0
			}
			s.WriteString(" " + word)
			line += 1 + len(word)
		}
		s.WriteString("\n")
	}
	s.WriteString(`
--output svg draws the mean over the number of layers: where the curve is flat, more layers gain little.`)
	return s.String()
}

func (r *run) simulateCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "history", Usage: "replay the releases in `FILE`"},
		&cli.StringSliceFlag{Name: "buildpack-layers", DefaultText: strings.Join(defaultBudgets, ","), Usage: "allow at most `K` layers for buildpacks; may be repeated"},
		&cli.StringSliceFlag{Name: "plan", DefaultText: strings.Join(defaultPlans, ","), Usage: "simulate the plan `NAME`, see above; may be repeated"},
		&cli.StringFlag{Name: "from", Usage: "count from release `VERSION` on; earlier ones are only known to the plans"},
		&cli.StringFlag{Name: "output", Value: "text", Usage: "print results as `FORMAT`: text, json, markdown or svg"},
	}
	return &cli.Command{
		Name: "simulate", Usage: "replay a builder's releases under layer plans", Description: simulateDescription(), UsageText: simulateExamples, HideHelpCommand: true,
		Flags: slices.Concat(flags, commonFlags()),
		Action: func(c *cli.Context) error {
			return (&simulateRun{session: session{run: r, c: c}}).do()
		},
	}
}

// simulateRun is one run of "builder simulate".
type simulateRun struct {
	session
}

func (s *simulateRun) do() error {
	render, budgets, errs := s.readFlags()
	if err := errors.Join(errs...); err != nil {
		return wrongUse(s.c, "%w", err)
	}
	f, err := readHistory(s.c.String("history"))
	if err != nil {
		return err
	}
	result, err := simulate.Run(s.c.Context, simulate.Options{History: f, Plans: s.named("plan", defaultPlans), Budgets: budgets, From: s.c.String("from")})
	if err != nil {
		return err
	}
	return standardOutput(render(s.stdout, result))
}

func (s *simulateRun) readFlags() (render func(io.Writer, *simulate.Result) error, budgets []int, errs []error) {
	errs = s.empty()
	if s.c.Args().Present() {
		errs = append(errs, fmt.Errorf("unexpected argument %q", flatten.Clip(s.c.Args().First())))
	}
	if s.c.String("history") == "" {
		errs = append(errs, errors.New("--history is missing; name the file with the releases"))
	}
	for _, k := range s.named("buildpack-layers", defaultBudgets) {
		n, err := strconv.Atoi(k)
		if err != nil || n < 1 {
			errs = append(errs, fmt.Errorf("invalid --buildpack-layers %q; write a number from 1 on", flatten.Clip(k)))
		}
		budgets = append(budgets, n)
	}
	for _, name := range s.named("plan", defaultPlans) {
		if !slices.Contains(simulate.Names(), name) {
			errs = append(errs, fmt.Errorf("unknown --plan %q; write one of %s", flatten.Clip(name), strings.Join(simulate.Names(), ", ")))
		}
	}
	render, known := renderings[s.c.String("output")]
	if !known {
		errs = append(errs, fmt.Errorf("invalid value %q for --output; write text, json, markdown or svg", flatten.Clip(s.c.String("output"))))
	}
	return render, budgets, errs
}

// named returns the values of a flag, each once, or the defaults if there are none.
func (s *simulateRun) named(flag string, none []string) []string {
	var once []string
	for _, v := range s.list(flag) {
		if !slices.Contains(once, v) {
			once = append(once, v)
		}
	}
	if len(once) == 0 {
		return none
	}
	return once
}

func readHistory(name string) (f *history.File, err error) {
	in, err := localfile.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	f, err = history.Read(in)
	if err != nil {
		return nil, engine.WithPlace(config.Problem{File: name}, err)
	}
	return f, nil
}
