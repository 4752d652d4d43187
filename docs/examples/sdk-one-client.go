// Names and statuses, with the vendor's SDK: only this client goes to the service, whatever else the process calls.
package main

import (
	"fmt"
	"os"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	cce "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/cce/v5"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/cce/v5/model"
)

func main() {
	credentials, err := basic.NewCredentialsBuilder().
		WithAk(os.Getenv("IMAGECACHES_AK")).
		WithSk(os.Getenv("IMAGECACHES_SK")).
		SafeBuild()
	if err != nil {
		fail(err)
	}
	client, err := cce.CceClientBuilder().
		WithCredential(credentials).
		WithEndpoint(os.Getenv("IMAGECACHES_URL")).
		SafeBuild()
	if err != nil {
		fail(err)
	}
	list, err := cce.NewCceClient(client).ListImageCaches(&model.ListImageCachesRequest{})
	if err != nil {
		fail(err)
	}
	for _, entry := range *list.ImageCaches {
		fmt.Println(entry.Name, entry.Status.Value())
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
