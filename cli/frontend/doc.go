// Package frontend builds an app with a builder of buildpacks as a front end of BuildKit.
package frontend
