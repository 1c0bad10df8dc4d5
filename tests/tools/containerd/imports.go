// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools names what the tests of containerd import beside its programs, for go.sum.
package tools

import (
	_ "github.com/containerd/containerd/v2/integration/client"
	_ "github.com/containerd/containerd/v2/integration/images"
	_ "github.com/containerd/containerd/v2/integration/remote"
)
