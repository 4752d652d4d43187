// The calls of Terraform's provider for image caches, in its order, with the core client of the Go SDK: the project by the
// region's name, the domain, the list, the list by name, one image cache, and one that does not exist. Its own client
// library (github.com/chnsz/golangsdk) is not used here. Prints one JSON line. Argument: a name.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/def"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
)

type named struct {
	Id   string `json:"id"`
	Name string `json:"name"`
}

type projects struct {
	Projects       []named `json:"projects"`
	HttpStatusCode int     `json:"-"`
}

type domains struct {
	Domains        []named `json:"domains"`
	HttpStatusCode int     `json:"-"`
}

type list struct {
	ImageCaches    []named `json:"image_caches"`
	HttpStatusCode int     `json:"-"`
}

type shown struct {
	ImageCache     named `json:"image_cache"`
	HttpStatusCode int   `json:"-"`
}

type noParameters struct{}

type byName struct {
	Name string `json:"name"`
}

type byId struct {
	Id string `json:"id"`
}

func clientOf(projectId string) *core.HcHttpClient {
	credentials, err := basic.NewCredentialsBuilder().
		WithAk(os.Getenv("HW_ACCESS_KEY")).
		WithSk(os.Getenv("HW_SECRET_KEY")).
		WithProjectId(projectId).
		SafeBuild()
	if err != nil {
		panic(err)
	}
	client, err := core.NewHcHttpClientBuilder().
		WithCredential(credentials).
		WithEndpoint(os.Getenv("ENDPOINT")).
		SafeBuild()
	if err != nil {
		panic(err)
	}
	return client
}

func get(client *core.HcHttpClient, path string, request any, response any, fields ...*def.FieldDef) error {
	builder := def.NewHttpRequestDefBuilder().WithMethod(http.MethodGet).WithPath(path).WithResponse(response)
	for _, field := range fields {
		builder.WithRequestField(field)
	}
	_, err := client.Sync(request, builder.Build())
	return err
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	region, name := os.Getenv("HW_REGION_NAME"), os.Args[1]
	query := def.NewFieldDef().WithName("Name").WithJsonTag("name").WithLocationType(def.Query)
	path := def.NewFieldDef().WithName("Id").WithJsonTag("id").WithLocationType(def.Path)

	identity := clientOf("")
	foundProjects, foundDomains := &projects{}, &domains{}
	must(get(identity, "/v3/projects", &byName{region}, foundProjects, query))
	must(get(identity, "/v3/auth/domains", &noParameters{}, foundDomains))

	client := clientOf(foundProjects.Projects[0].Id)
	all, one, show := &list{}, &list{}, &shown{}
	must(get(client, "/v5/imagecaches", &noParameters{}, all))
	must(get(client, "/v5/imagecaches", &byName{name}, one, query))
	must(get(client, "/v5/imagecaches/{id}", &byId{one.ImageCaches[0].Id}, show, path))

	var missing *sdkerr.ServiceResponseError
	if !errors.As(get(client, "/v5/imagecaches/{id}", &byId{"no-such-id"}, &shown{}, path), &missing) {
		panic("an image cache that does not exist was found")
	}
	line, err := json.Marshal(map[string]any{
		"projects": foundProjects.Projects, "domains": foundDomains.Domains, "all": len(all.ImageCaches),
		"one": one.ImageCaches, "shown": show.ImageCache, "missing": missing,
	})
	must(err)
	fmt.Println(string(line))
}
