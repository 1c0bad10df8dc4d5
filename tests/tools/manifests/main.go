// SPDX-License-Identifier: Apache-2.0

// manifests DIRECTORY puts a kustomization together as `kubectl apply -k` does and decodes each object strictly with
// Kubernetes' own types: a field that does not exist, or has another type, is an error. Prints one line an object:
// kind, name, and for a RuntimeClass its handler.
package main

import (
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func decoder() (runtime.Decoder, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, nodev1.AddToScheme, rbacv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	options := json.SerializerOptions{Yaml: true, Strict: true}
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, options), nil
}

func show(object runtime.Object) error {
	named, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	line := object.GetObjectKind().GroupVersionKind().Kind + " " + named.GetName()
	if class, ok := object.(*nodev1.RuntimeClass); ok {
		line += " " + class.Handler
	}
	fmt.Println(line)
	return nil
}

func check(directory string) error {
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), directory)
	if err != nil {
		return err
	}
	strict, err := decoder()
	if err != nil {
		return err
	}
	for _, object := range objects.Resources() {
		text, err := object.AsYAML()
		if err != nil {
			return err
		}
		decoded, _, err := strict.Decode(text, nil, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", object.CurId(), err)
		}
		if err := show(decoded); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: manifests DIRECTORY")
		os.Exit(2)
	}
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
}
