// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools names what the tests of containerd import beside its programs. `go mod tidy` does not see what
// those of CRI need: `go get -t github.com/containerd/containerd/v2/integration` after it does.
package tools

import (
	_ "github.com/containerd/containerd/v2/integration/client"
	_ "github.com/containerd/containerd/v2/integration/images"
	_ "github.com/containerd/containerd/v2/integration/remote"
)
