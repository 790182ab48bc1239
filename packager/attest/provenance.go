package attest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	statementType = "https://in-toto.io/Statement/v1"
	// ProvenanceType is the predicate type of [Provenance]. It is also the annotation
	// [PredicateAnnotation] of the attached manifest.
	ProvenanceType = "https://slsa.dev/provenance/v1"
	// PredicateAnnotation is the annotation by which clients find statements of a type.
	PredicateAnnotation = "in-toto.io/predicate-type"
	// BuildType says what the parameters mean: those of [Parameters].
	BuildType = "urn:laminate:build:v1"
)

// Statement is an in-toto statement with a predicate (in-toto attestation framework, "Statement" v1).
type Statement struct {
	Type          string               `json:"_type"`
	Subject       []ResourceDescriptor `json:"subject"`
	PredicateType string               `json:"predicateType"`
	Predicate     Provenance           `json:"predicate"`
}

// ResourceDescriptor describes an artifact (in-toto attestation framework, "ResourceDescriptor" v1).
type ResourceDescriptor struct {
	Name        string            `json:"name,omitempty"`
	URI         string            `json:"uri,omitempty"`
	Digest      map[string]string `json:"digest,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Provenance says how an image was made (SLSA provenance v1). It has no time and no invocation, since
// the same input gives the same image.
type Provenance struct {
	BuildDefinition struct {
		BuildType            string               `json:"buildType"`
		ExternalParameters   Parameters           `json:"externalParameters"`
		ResolvedDependencies []ResourceDescriptor `json:"resolvedDependencies,omitempty"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version,omitempty"`
		} `json:"builder"`
	} `json:"runDetails"`
}

// Parameters are what the user chose for a build.
type Parameters struct {
	// Config is builder.toml or package.toml: its path in the repository, and its digest.
	Config ResourceDescriptor `json:"config"`
	// Version is the version of the release, and Variant that of several images of one config.
	Version string `json:"version,omitempty"`
	Variant string `json:"variant,omitempty"`
	// Flatten are the options of the layer plan.
	Flatten map[string]any `json:"flatten,omitempty"`
	// Targets are the platforms, if they were chosen.
	Targets []string `json:"targets,omitempty"`
}

// ProvenanceInput is what [NewProvenance] states.
type ProvenanceInput struct {
	// Subjects are the image or the index, and the images of the index.
	Subjects   []ResourceDescriptor
	Parameters Parameters
	// Dependencies are the sources of the image.
	Dependencies []ResourceDescriptor
	// BuilderID is a URI of who ran the build, such as a workflow: those who trust it trust what the
	// statement says.
	BuilderID string
	// Version is laminate's, or "". Statements of different versions differ.
	Version string
}

// NewProvenance returns an in-toto statement with SLSA provenance, as JSON. The same input gives the
// same bytes. It is not signed.
func NewProvenance(in ProvenanceInput) ([]byte, error) {
	if len(in.Subjects) == 0 {
		return nil, errors.New("provenance: no subject")
	}
	for _, s := range in.Subjects {
		if len(s.Digest) == 0 {
			return nil, fmt.Errorf("provenance: subject %s has no digest", s.Name)
		}
	}
	if u, err := url.Parse(in.BuilderID); err != nil || u.Scheme == "" {
		return nil, fmt.Errorf("provenance: invalid builder id %q; it must be a URI, such as that of the workflow", in.BuilderID)
	}
	s := Statement{Type: statementType, Subject: in.Subjects, PredicateType: ProvenanceType}
	s.Predicate.BuildDefinition.BuildType = BuildType
	s.Predicate.BuildDefinition.ExternalParameters = in.Parameters
	s.Predicate.BuildDefinition.ResolvedDependencies = in.Dependencies
	s.Predicate.RunDetails.Builder.ID = in.BuilderID
	if in.Version != "" {
		s.Predicate.RunDetails.Builder.Version = map[string]string{"laminate": in.Version}
	}
	return json.Marshal(s)
}

// Resource describes something with a digest.
func Resource(name string, digest v1.Hash) ResourceDescriptor {
	return ResourceDescriptor{Name: name, Digest: map[string]string{digest.Algorithm: digest.Hex}}
}

// ContentResource describes a directory, or another source without a digest of its own, by the content
// identity of its buildpack, or the digest of whatever laminate made of it.
func ContentResource(name string, content v1.Hash) ResourceDescriptor {
	r := Resource(name, content)
	r.Annotations = map[string]string{"laminate:digestOf": "content"}
	return r
}
