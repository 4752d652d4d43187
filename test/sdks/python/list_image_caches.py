"""After the vendor's samples for ListImageCaches and ShowImageCache; prints one JSON line.

Arguments: an exact name, or --id and an id, or none.
"""
import json
import os
import sys

from huaweicloudsdkcce.v5 import CceClient, ListImageCachesRequest, ShowImageCacheRequest
from huaweicloudsdkcce.v5.region.cce_region import CceRegion
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions import exceptions


def main():
    try:
        credentials = BasicCredentials(
            os.environ["HUAWEICLOUD_SDK_AK"],
            os.environ["HUAWEICLOUD_SDK_SK"],
            os.environ.get("HUAWEICLOUD_SDK_PROJECT_ID"),
        )
        client = (
            CceClient.new_builder()
            .with_credentials(credentials)
            .with_region(CceRegion.value_of("cn-north-4"))
            .build()
        )
        if len(sys.argv) > 2 and sys.argv[1] == "--id":
            shown = client.show_image_cache(ShowImageCacheRequest(image_cache_id=sys.argv[2]))
            print(json.dumps({"ok": True, "status": shown.status_code, "names": [shown.image_cache.name]}))
            return
        request = ListImageCachesRequest()
        if len(sys.argv) > 1:
            request.name = sys.argv[1]
        response = client.list_image_caches(request)
        print(json.dumps({
            "ok": True,
            "status": response.status_code,
            "names": [image_cache.name for image_cache in response.image_caches or []],
        }))
    except exceptions.ServiceResponseException as error:
        print(json.dumps({
            "ok": False,
            "status": error.status_code,
            "requestId": error.request_id,
            "code": error.error_code,
            "message": error.error_msg,
        }))


main()
