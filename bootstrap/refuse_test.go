// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"strings"
	"testing"
)

// TestRenderRefuses: each bad input gives an error that begins with the field at fault. The rows are laid over an
// input that is good.
func TestRenderRefuses(t *testing.T) {
	const joining = "step: JoinWorker\nkubernetesVersion: v1.37.1\ncontrolPlaneEndpoint: 192.0.2.1:6443\ntoken: abcdef.0123456789abcdef\n" +
		"caCertHashes: [\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"]\n"
	const initial = "step: Init\nkubernetesVersion: v1.37.1\ncontrolPlaneEndpoint: 192.0.2.1:6443\n" +
		"certificates: {ca: [c, k], etcd: [c, k], proxy: [c, k], sa: [c, k]}\n"
	for name, base := range map[string]string{"join": joining, "init": initial} {
		if _, err := Render(parseInput(t, []byte(base))); err != nil {
			t.Fatalf("the good %s is refused: %v", name, err)
		}
	}
	replaced := func(base, old, new string) string {
		if !strings.Contains(base, old) {
			t.Fatalf("%q is not in the base", old)
		}
		return strings.Replace(base, old, new, 1)
	}
	file := func(fields string) string { return joining + "spec: {files: [{" + fields + "}]}\n" }
	secret := func(content string) string {
		return "secrets: {s/k: \"" + strings.ReplaceAll(content, `"`, `\"`) + "\"}\n" + file(`path: /x, contentFrom: {secret: {name: s, key: k}}, contentFormat: Template`)
	}
	for name, c := range map[string]struct{ input, want, also string }{
		"ignition":              {joining + "spec: {format: ignition}", "spec.format: ", "use cloud-config"},
		"no version":            {replaced(joining, "v1.37.1", `""`), "the Machine's spec.version: it is not set", ""},
		"version is a word":     {replaced(joining, "v1.37.1", "latest"), `the Machine's spec.version: "latest"`, ""},
		"version too old":       {replaced(joining, "v1.37.1", "v1.21.5"), "the Machine's spec.version: ", "v1.22.0 or later"},
		"step":                  {replaced(joining, "JoinWorker", "Rest"), "render bootstrap data: step", ""},
		"endpoint without port": {replaced(joining, "192.0.2.1:6443", "192.0.2.1"), "the Cluster's spec.controlPlaneEndpoint: ", "host:port"},
		"endpoint, port 0":      {replaced(joining, "192.0.2.1:6443", "192.0.2.1:0"), "the Cluster's spec.controlPlaneEndpoint: ", ""},
		"no endpoint, join":     {replaced(joining, "192.0.2.1:6443", `""`), "the Cluster's spec.controlPlaneEndpoint: it is not set", ""},
		"no endpoint, init":     {replaced(initial, "192.0.2.1:6443", `""`), "the Cluster's spec.controlPlaneEndpoint: it is not set", ""},
		"pods no CIDR":          {initial + "pods: [10.244.0.0]", "the Cluster's spec.clusterNetwork.pods.cidrBlocks[0]: ", "10.244.0.0/16"},
		"pods host bits":        {initial + "pods: [10.244.1.0/16]", "the Cluster's spec.clusterNetwork.pods.cidrBlocks[0]: ", "write 10.244.0.0/16"},
		"services one family":   {initial + "services: [10.96.0.0/16, 10.97.0.0/16]", "the Cluster's spec.clusterNetwork.services.cidrBlocks: ", "one of IPv4 and one of IPv6"},

		"file path relative":   {file("path: etc/x, content: a"), "spec.files[0].path: ", "absolute"},
		"file mode":            {file(`path: /x, content: a, permissions: "0899"`), "spec.files[0].permissions: ", ""},
		"file mode in words":   {file(`path: /x, content: a, permissions: rw-r`), "spec.files[0].permissions: ", ""},
		"file owner":           {file(`path: /x, content: a, owner: "a:b:c"`), "spec.files[0].owner: ", ""},
		"file two contents":    {file("path: /x, content: a, contentFrom: {secret: {name: s, key: k}}"), "spec.files[0]: content and contentFrom", ""},
		"file secret missing":  {file("path: /x, contentFrom: {secret: {name: s, key: k}}"), `spec.files[0].contentFrom.secret: Secret s has no key "k"`, "create it"},
		"file encoding":        {file("path: /x, content: a, encoding: rot13"), "spec.files[0].encoding: ", "base64"},
		"file not base64":      {file(`path: /x, content: "a b!", encoding: base64`), "spec.files[0].encoding: ", "spec.files[0].content"},
		"file base64, no gzip": {file("path: /x, content: aGVsbG8=, encoding: gzip+base64"), "spec.files[0].encoding: ", "not of gzip"},
		"file text as gzip":    {file("path: /x, content: a, encoding: gzip"), "spec.files[0].encoding: ", "use gzip+base64"},
		"file format":          {file("path: /x, content: a, contentFormat: Jinja"), "spec.files[0].contentFormat: ", ""},
		"template syntax":      {file(`path: /x, content: "{{ .a", contentFormat: Template`), "spec.files[0].content: it is not a Go template", "set contentFormat to Raw"},
		"template variable":    {file(`path: /x, content: "{{ .cluster.name }}", contentFormat: Template`), "spec.files[0].content: its template cannot be rendered", ".controlPlane.version"},
		"template no version":  {file(`path: /x, content: "{{ .controlPlane.version }}", contentFormat: Template`), "spec.files[0].content: its template cannot be rendered", ""},
		"template loop":        {file(`path: /x, content: "{{ if true }}{{ range 99999999999 }}{{ end }}{{ end }}", contentFormat: Template`), "spec.files[0].content: its template uses range in line 1", "not allowed"},
		"template recursion":   {file(`path: /x, content: '{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}', contentFormat: Template`), "spec.files[0].content: its template defines", ""},
		"template blow-up":     {file(`path: /x, content: '{{ $x := "xxxxxxxxxxxxxxxx" }}` + strings.Repeat(`{{ $x = printf "%s%s" $x $x }}`, 60) + `', contentFormat: Template`), "spec.files[0].content: its template cannot", "grows beyond"},
		"template too long":    {file(`path: /x, content: '{{ $x := "xxxxxxxxxxxxxxxx" }}` + strings.Repeat(`{{ $x }}`, 4097) + `', contentFormat: Template`), "spec.files[0].content: its template cannot", "writes more than"},
		"template of 64 KiB":   {file(`path: /x, content: '` + strings.Repeat("x", 64<<10+1) + `', contentFormat: Template`), "spec.files[0].content: its template has 65537 bytes", "make it shorter"},
		"template width":       {file(`path: /x, content: '{{ printf "%999999[1]d" 1 }}', contentFormat: Template`), "spec.files[0].content: its template cannot", "printf takes only"},
		"template in secret":   {secret(`{{ .hush }}`), "spec.files[0].contentFrom.secret: its template cannot be rendered (line 1)", ""},
		"secret syntax":        {secret(`\n{{ hush }}`), "spec.files[0].contentFrom.secret: it is not a Go template (line 2)", ""},
		"secret loop":          {secret(`{{ range 9 }}hush{{ end }}`), "spec.files[0].contentFrom.secret: its template uses range in line 1", ""},
		"secret call":          {secret(`{{ index "hush" 9 }}`), "spec.files[0].contentFrom.secret: its template cannot be rendered (line 1)", ""},
		"file twice":           {joining + "spec: {files: [{path: /x, content: a}, {path: /y/../x, content: b}]}", "spec.files[1].path: ", "spec.files[0] already"},
		"file of ours":         {file("path: /run/kubeadm/kubeadm-join-config.yaml, content: a"), "spec.files[0].path: ", "choose another path"},
		"placeholder":          {file("path: /run/cluster-api/placeholder, content: a, append: true"), "spec.files[0].path: ", "choose another path"},

		"verbosity":               {joining + "spec: {verbosity: -1}", "spec.verbosity: ", ""},
		"user without name":       {joining + "spec: {users: [{gecos: a}]}", "spec.users[0].name: ", ""},
		"user two passwords":      {joining + "spec: {users: [{name: a, passwd: x, passwdFrom: {secret: {name: s, key: k}}}]}", "spec.users[0]: passwd and passwdFrom", ""},
		"user secret missing":     {joining + "spec: {users: [{name: a, passwdFrom: {secret: {name: s, key: k}}}]}", "spec.users[0].passwdFrom.secret: ", "create it"},
		"disk twice":              {joining + "spec: {diskSetup: {partitions: [{device: /dev/a, layout: true}, {device: /dev/a, layout: true}]}}", "spec.diskSetup.partitions[1].device: ", ""},
		"disk two layouts":        {joining + "spec: {diskSetup: {partitions: [{device: /dev/a, layout: true, diskLayout: [{percentage: 5}]}]}}", "spec.diskSetup.partitions[0]: layout and diskLayout", ""},
		"disk over full":          {joining + "spec: {diskSetup: {partitions: [{device: /dev/a, diskLayout: [{percentage: 50}, {percentage: 51}]}]}}", "spec.diskSetup.partitions[0].diskLayout[1].percentage: ", "101 percent"},
		"disk part of nothing":    {joining + "spec: {diskSetup: {partitions: [{device: /dev/a, diskLayout: [{percentage: 0}]}]}}", "spec.diskSetup.partitions[0].diskLayout[0].percentage: ", ""},
		"disk type not for mbr":   {joining + "spec: {diskSetup: {partitions: [{device: /dev/a, tableType: mbr, diskLayout: [{percentage: 5, partitionType: 0FC63DAF-8483-4772-8E79-3D69D8477DE4}]}]}}", "spec.diskSetup.partitions[0].diskLayout[0].partitionType: ", "gpt"},
		"disk extended on gpt":    {joining + "spec: {diskSetup: {partitions: [{device: /dev/a, tableType: gpt, diskLayout: [{percentage: 5, partitionType: LinuxExtended}]}]}}", "spec.diskSetup.partitions[0].diskLayout[0].partitionType: ", "mbr"},
		"worker as control plane": {joining + "spec: {joinConfiguration: {controlPlane: {}}}", "spec.joinConfiguration.controlPlane: ", "worker"},

		"no token":              {replaced(joining, "abcdef.0123456789abcdef", `""`), "render bootstrap data: no bootstrap token", ""},
		"bad token":             {joining + "spec: {joinConfiguration: {discovery: {bootstrapToken: {token: hush-hush}}}}", "spec.joinConfiguration.discovery.bootstrapToken.token: ", ""},
		"no hash":               {replaced(joining, "caCertHashes: [", "secrets: {a/b: c}\n#"), "render bootstrap data: the hash", ""},
		"bad hash":              {joining + "spec: {joinConfiguration: {discovery: {bootstrapToken: {caCertHashes: [\"sha256:zz\"]}}}}", "spec.joinConfiguration.discovery.bootstrapToken.caCertHashes[0]: ", ""},
		"bad discovery server":  {joining + "spec: {joinConfiguration: {discovery: {bootstrapToken: {apiServerEndpoint: \"https://192.0.2.1:6443\"}}}}", "spec.joinConfiguration.discovery.bootstrapToken.apiServerEndpoint: ", ""},
		"two discoveries":       {joining + "spec: {joinConfiguration: {discovery: {bootstrapToken: {token: abcdef.0123456789abcdef}, file: {kubeConfigPath: /k}}}}", "spec.joinConfiguration.discovery: ", "remove one"},
		"file without path":     {joining + "spec: {joinConfiguration: {discovery: {file: {kubeConfigPath: \"\", kubeConfig: {user: {exec: {command: a}}}}}}}", "spec.joinConfiguration.discovery.file.kubeConfigPath: ", ""},
		"file path relative to": {joining + "spec: {joinConfiguration: {discovery: {file: {kubeConfigPath: k, kubeConfig: {user: {exec: {command: a}}}}}}}", "spec.joinConfiguration.discovery.file.kubeConfigPath: ", "absolute"},
		"file without user":     {joining + "caCert: pem\nspec: {joinConfiguration: {discovery: {file: {kubeConfigPath: /k, kubeConfig: {cluster: {tlsServerName: a}, user: {}}}}}}", "spec.joinConfiguration.discovery.file.kubeConfig.user: ", "exec"},
		"file without CA":       {joining + "spec: {joinConfiguration: {discovery: {file: {kubeConfigPath: /k, kubeConfig: {user: {exec: {command: a}}}}}}}", "spec.joinConfiguration.discovery.file.kubeConfig.cluster.certificateAuthorityData: ", ""},
		"discovery file taken":  {joining + "caCert: pem\nspec: {files: [{path: /k, content: a}], joinConfiguration: {discovery: {file: {kubeConfigPath: /k, kubeConfig: {user: {exec: {command: a}}}}}}}", "spec.files[0].path: ", "choose another path"},

		"certificate missing":    {replaced(initial, "etcd: [c, k], ", ""), "Secret demo-etcd, key tls.crt: ", "/etc/kubernetes/pki/etcd/ca.crt"},
		"sa key missing":         {replaced(initial, "sa: [c, k]", `sa: [c, ""]`), "Secret demo-sa, key tls.key: ", ""},
		"etcd client missing":    {initial + "spec: {clusterConfiguration: {etcd: {external: {endpoints: [\"https://e:2379\"], caFile: /a, certFile: /b, keyFile: /c}}}}", "Secret demo-apiserver-etcd-client, key tls.crt: ", "/b"},
		"etcd external, no path": {replaced(initial, "certificates: {", "certificates: {apiserver-etcd-client: [c, k], ") + "spec: {clusterConfiguration: {etcd: {external: {endpoints: [\"https://e:2379\"], caFile: /a, certFile: \"\", keyFile: /c}}}}", "spec.clusterConfiguration.etcd.external.certFile: ", "path on the machine"},
		"etcd both":              {replaced(initial, "certificates: {", "certificates: {apiserver-etcd-client: [c, k], ") + "spec: {clusterConfiguration: {etcd: {local: {dataDir: /d}, external: {endpoints: [\"https://e:2379\"], caFile: /a, certFile: /b, keyFile: /c}}}}", "spec.clusterConfiguration.etcd: ", "remove one"},
		"flag twice on v1beta3":  {replaced(initial, "v1.37.1", "v1.30.0") + "spec: {clusterConfiguration: {apiServer: {extraArgs: [{name: a, value: b}, {name: a, value: c}]}}}", "spec.clusterConfiguration.apiServer.extraArgs[1]: ", "v1.31"},
		"flag without name":      {initial + "spec: {clusterConfiguration: {scheduler: {extraArgs: [{name: \"\", value: b}]}}}", "spec.clusterConfiguration.scheduler.extraArgs[0].name: ", ""},
		"kubelet flag no name":   {joining + "spec: {joinConfiguration: {nodeRegistration: {kubeletExtraArgs: [{name: \"\", value: b}]}}}", "spec.joinConfiguration.nodeRegistration.kubeletExtraArgs[0].name: ", ""},
		"volume twice":           {initial + "spec: {clusterConfiguration: {apiServer: {extraVolumes: [{name: a, hostPath: /a, mountPath: /a}, {name: a, hostPath: /b, mountPath: /b}]}}}", "spec.clusterConfiguration.apiServer.extraVolumes[1].name: ", ""},
		"token without a token":  {initial + "spec: {initConfiguration: {bootstrapTokens: [{ttlSeconds: 5}]}}", "spec.initConfiguration.bootstrapTokens[0].token: ", ""},
		"init token without end": {initial + "token: abcdef.0123456789abcdef", "render bootstrap data: the token for kubeadm init", ""},
		"token expires":          {initial + "spec: {initConfiguration: {bootstrapTokens: [{token: abcdef.0123456789abcdef, expires: 2036-11-23T12:00:00Z}]}}", "spec.initConfiguration.bootstrapTokens[0].expires: ", "ttlSeconds"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := Render(parseInput(t, []byte(c.input)))
			switch {
			case err == nil:
				t.Errorf("accepted, want an error that begins with %q; got\n%s", c.want, out.Data)
			case !strings.HasPrefix(err.Error(), c.want) || !strings.Contains(err.Error(), c.also):
				t.Errorf("error %q\ndoes not begin with %q or lacks %q", err, c.want, c.also)
			case strings.Contains(err.Error(), "hush"):
				t.Errorf("the error repeats the token: %v", err)
			case len(out.Data) != 0:
				t.Error("there is output beside the error")
			}
		})
	}
}
