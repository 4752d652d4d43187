// Names and statuses, with the standard library.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

type imageCaches struct {
	ImageCaches []struct {
		Name   string `json:"name"`
		Status string `json:"status"`
	} `json:"image_caches"`
}

func main() {
	request, err := http.NewRequest(http.MethodGet, os.Getenv("IMAGECACHES_URL")+"/imagecaches", nil)
	if err != nil {
		fail(err)
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("IMAGECACHES_TOKEN"))
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		fail(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		var problem struct{ Code string }
		_ = json.NewDecoder(response.Body).Decode(&problem)
		fail(fmt.Errorf("%d %s", response.StatusCode, problem.Code))
	}
	var list imageCaches
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		fail(err)
	}
	for _, entry := range list.ImageCaches {
		fmt.Println(entry.Name, entry.Status)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
