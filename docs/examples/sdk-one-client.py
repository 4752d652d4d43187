"""Names and statuses, with the vendor's SDK: only this client goes to the service, whatever else the process calls."""

import os

from huaweicloudsdkcce.v5 import CceClient, ListImageCachesRequest
from huaweicloudsdkcore.auth.credentials import BasicCredentials

credentials = BasicCredentials(os.environ["IMAGECACHES_AK"], os.environ["IMAGECACHES_SK"])
client = (
    CceClient.new_builder()
    .with_credentials(credentials)
    .with_endpoint(os.environ["IMAGECACHES_URL"])
    .build()
)
for entry in client.list_image_caches(ListImageCachesRequest()).image_caches:
    print(entry.name, entry.status)
