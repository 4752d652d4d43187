"""Global credentials, which the SDK completes by asking IAM for the domain; prints it, and the number of image caches."""
import json
import os

from huaweicloudsdkcce.v5 import CceClient, ListImageCachesRequest
from huaweicloudsdkcce.v5.region.cce_region import CceRegion
from huaweicloudsdkcore.auth.credentials import GlobalCredentials
from huaweicloudsdkcore.client import ClientBuilder

credentials = GlobalCredentials(os.environ["HUAWEICLOUD_SDK_AK"], os.environ["HUAWEICLOUD_SDK_SK"])
client = (
    ClientBuilder(CceClient, "GlobalCredentials")
    .with_credentials(credentials)
    .with_region(CceRegion.value_of("cn-north-4"))
    .build()
)
response = client.list_image_caches(ListImageCachesRequest())
print(json.dumps({"domain": credentials.domain_id, "count": len(response.image_caches)}))
