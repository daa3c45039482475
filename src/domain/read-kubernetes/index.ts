/**
 * Reads Kubernetes manifests into a landscape: workloads and the Services that select them, their configuration with
 * ConfigMaps and Secrets, and what lets the outside in (Ingress, Gateway API, LoadBalancer, NodePort). Names resolve as the
 * cluster's DNS resolves them.
 *
 * Not here: custom resources (Istio, Knative, operators), which are listed and not guessed at; Helm templates, which Helm
 * must render first; what calls what, which `#domain/import` infers.
 *
 * Standards: the Kubernetes API (core, apps, batch, networking.k8s.io/v1, gateway.networking.k8s.io/v1) and its DNS rules.
 */
export { readKubernetes } from './kubernetes.ts';
