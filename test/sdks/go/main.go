// After the vendor's samples for ListImageCaches and ShowImageCache; prints one JSON line. Arguments: an exact name, or
// --id and an id, or none.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	cce "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/cce/v5"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/cce/v5/model"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/cce/v5/region"
)

func report(fields map[string]any) {
	line, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func fail(err error) {
	var refused *sdkerr.ServiceResponseError
	if !errors.As(err, &refused) {
		panic(err)
	}
	report(map[string]any{
		"ok": false, "status": refused.StatusCode, "requestId": refused.RequestId,
		"code": refused.ErrorCode, "message": refused.ErrorMessage,
	})
}

func main() {
	credentials, err := basic.NewCredentialsBuilder().
		WithAk(os.Getenv("HUAWEICLOUD_SDK_AK")).
		WithSk(os.Getenv("HUAWEICLOUD_SDK_SK")).
		WithProjectId(os.Getenv("HUAWEICLOUD_SDK_PROJECT_ID")).
		SafeBuild()
	if err != nil {
		panic(err)
	}
	endpoint, err := region.SafeValueOf("cn-north-4")
	if err != nil {
		panic(err)
	}
	httpClient, err := cce.CceClientBuilder().WithRegion(endpoint).WithCredential(credentials).SafeBuild()
	if err != nil {
		fail(err)
		return
	}
	client := cce.NewCceClient(httpClient)
	if len(os.Args) > 2 && os.Args[1] == "--id" {
		response, err := client.ShowImageCache(&model.ShowImageCacheRequest{ImageCacheId: os.Args[2]})
		if err != nil {
			fail(err)
			return
		}
		names := []string{response.ImageCache.Name}
		report(map[string]any{"ok": true, "status": response.HttpStatusCode, "names": names})
		return
	}
	request := &model.ListImageCachesRequest{}
	if len(os.Args) > 1 {
		request.Name = &os.Args[1]
	}
	response, err := client.ListImageCaches(request)
	if err != nil {
		fail(err)
		return
	}
	names := []string{}
	if response.ImageCaches != nil {
		for _, imageCache := range *response.ImageCaches {
			names = append(names, imageCache.Name)
		}
	}
	report(map[string]any{"ok": true, "status": response.HttpStatusCode, "names": names})
}
