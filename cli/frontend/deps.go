package frontend

import (
	_ "github.com/containerd/platforms"
	_ "github.com/google/go-containerregistry/pkg/v1"
	_ "github.com/moby/buildkit/client/llb"
	_ "github.com/moby/buildkit/frontend/dockerui"
	_ "github.com/moby/buildkit/frontend/gateway/grpcclient"
	_ "github.com/moby/buildkit/util/appcontext"
	_ "github.com/onsi/ginkgo/v2"
	_ "github.com/onsi/gomega"
	_ "laminate/packager/config"
)
