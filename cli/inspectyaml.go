package cli

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"laminate/packager/inspect"
)

// printReportYAML prints the JSON form as YAML, with the keys in the same order.
func printReportYAML(w io.Writer, r *inspect.Report) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tokens := json.NewDecoder(strings.NewReader(string(data)))
	tokens.UseNumber()
	doc, err := yamlNode(tokens)
	if err != nil {
		return err
	}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	return errors.Join(e.Encode(doc), e.Close())
}

// yamlNode returns the next JSON value, or nil at the end of a list or an object. (A YAML parser
// refuses characters that are valid in JSON.)
func yamlNode(tokens *json.Decoder) (*yaml.Node, error) {
	token, err := tokens.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: t}, nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: t.String()}, nil
	case bool:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false"}
		if t {
			n.Value = "true"
		}
		return n, nil
	case json.Delim:
		if t == ']' || t == '}' {
			return nil, nil
		}
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if t == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		for {
			below, err := yamlNode(tokens)
			if err != nil || below == nil {
				return n, err
			}
			n.Content = append(n.Content, below)
		}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}
