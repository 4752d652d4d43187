// After the vendor's sample; prints one JSON line. Arguments: an exact name, or --id and an id, or none. The CCE package on npm knows
// API v3 only, and no environment variable names an endpoint for this SDK: the core client is told both here.
import { ClientBuilder } from '@huaweicloud/huaweicloud-sdk-core/ClientBuilder.js';
import { ServiceResponseException } from '@huaweicloud/huaweicloud-sdk-core/exception/ServiceResponseException.js';
import { Region } from '@huaweicloud/huaweicloud-sdk-core/region/region.js';

const report = (fields) => process.stdout.write(`${JSON.stringify(fields)}\n`);
try {
  // The key pair and the IAM endpoint come from the environment.
  const client = new ClientBuilder((built) => built)
    .withRegion(new Region('cn-north-4', process.env.HUAWEICLOUD_SDK_REGION_CCE_CN_NORTH_4))
    .withOptions({ customUserAgent: 'sample' })
    .build();
  const [, , name, id] = process.argv;
  const isById = name === '--id';
  const response = await client.sendRequest({
    method: 'GET',
    url: isById ? '/v5/imagecaches/{image_cache_id}' : '/v5/imagecaches',
    contentType: 'application/json',
    pathParams: isById ? { image_cache_id: id } : {},
    queryParams: isById || name === undefined ? {} : { name },
    headers: {},
  });
  report({
    ok: true,
    status: response.httpStatusCode,
    names: (isById ? [response.image_cache] : response.image_caches).map((each) => each.name),
  });
} catch (error) {
  if (!(error instanceof ServiceResponseException)) throw error;
  const { httpStatusCode, requestId, errorCode, errorMsg } = error;
  report({ ok: false, status: httpStatusCode, requestId, code: errorCode, message: errorMsg });
}
