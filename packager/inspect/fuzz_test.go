package inspect_test

import (
	"encoding/json"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/fixtures/workbench"
	"laminate/flatten"
	"laminate/packager/image"
	"laminate/packager/inspect"
)

// FuzzLabels describes images with any labels. That must give a report that matches the schema.
func FuzzLabels(f *testing.F) {
	const order = `[{"group":[{"id":"x/c","version":"1"},{"id":"x/b","optional":true}]}]`
	f.Add(`{"createdBy":{"name":"Pack CLI"},"lifecycle":{"apis":{"buildpack":{"supported":["0.10"]}}}}`, order, theTwo, `{}`, `{"pre":{"buildpacks":[{"id":"x/b"}]}}`, "ubuntu", "laminate: lifecycle 1", `{}`)
	f.Add("", "", theTwo, "", "", "", "RUN "+strings.Repeat("é", 500), `{"id":"x/c","version":"1"}`)
	f.Add("", "", "", `{"x/e":{"1":{"api":"0.9","layerDiffID":"LAYER2"}}}`, "", "", "", `{"id":"x/e","version":"1"}`)
	f.Add("", "", `{"buildpacks":[{"key":"a","version":"1","layers":{"l":{"sha":"LAYER2"}}}],"runImage":{"topLayer":"LAYER1"}}`, `{"processes":[{"command":"a"}]}`, "", "", "Layer: 'l'", "")
	schema, err := workbench.Schema("inspect.schema.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, builder, order, buildpacks, extensions, system, distro, history, root string) {
		labels := map[string]string{
			flatten.OrderLabel: order, flatten.OrderExtensionsLabel: order, flatten.BuildpackLayersLabel: buildpacks, flatten.ExtensionLayersLabel: extensions,
			flatten.SystemLabel: system, flatten.DistroNameLabel: distro, flatten.StackIDLabel: distro, flatten.RecipesLabelKey: system,
			flatten.AppLayersLabel: buildpacks, flatten.BuildMetadataLabel: extensions,
		}
		if builder != "" {
			labels[flatten.BuilderMetadataLabel] = builder
		}
		if root != "" {
			labels[flatten.BuildpackageMetadataLabel] = root
		}
		img, err := made{layers: layersOf(5), labels: labels, history: []string{history, "", history}}.view(&workbench.Log{})
		if err != nil {
			return
		}
		r, err := inspect.New(distro, v1.Hash{}, []*image.Image{img})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := workbench.Valid(schema, text); err != nil {
			t.Fatal(err)
		}
	})
}
