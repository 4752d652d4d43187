import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.huaweicloud.sdk.cce.v3.region.CceRegion;
import com.huaweicloud.sdk.core.ClientBuilder;
import com.huaweicloud.sdk.core.HcClient;
import com.huaweicloud.sdk.core.SdkResponse;
import com.huaweicloud.sdk.core.auth.BasicCredentials;
import com.huaweicloud.sdk.core.exception.ServiceResponseException;
import com.huaweicloud.sdk.core.http.FieldExistence;
import com.huaweicloud.sdk.core.http.HttpMethod;
import com.huaweicloud.sdk.core.http.HttpRequestDef;
import com.huaweicloud.sdk.core.http.LocationType;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * After the vendor's samples for ListImageCaches and ShowImageCache; prints one JSON line. Arguments: an exact name, or
 * --id and an id, or none. The newest release of the CCE package on Maven knows API v3 only, so the v5 calls are declared
 * here as its generator does.
 */
public final class ListImageCaches {
  public static final class Request {
    private String name;

    public String getName() {
      return name;
    }

    public void setName(String value) {
      name = value;
    }
  }

  public static final class ShowRequest {
    private String imageCacheId;

    public String getImageCacheId() {
      return imageCacheId;
    }

    public void setImageCacheId(String value) {
      imageCacheId = value;
    }
  }

  @JsonIgnoreProperties(ignoreUnknown = true)
  public static final class ImageCache {
    @JsonProperty("name")
    public String name;
  }

  @JsonIgnoreProperties(ignoreUnknown = true)
  public static final class Response extends SdkResponse {
    @JsonProperty("image_caches")
    public List<ImageCache> imageCaches;
  }

  @JsonIgnoreProperties(ignoreUnknown = true)
  public static final class ShowResponse extends SdkResponse {
    @JsonProperty("image_cache")
    public ImageCache imageCache;
  }

  private static final HttpRequestDef<ShowRequest, ShowResponse> SHOW_IMAGE_CACHE =
      HttpRequestDef.builder(HttpMethod.GET, ShowRequest.class, ShowResponse.class)
          .withName("ShowImageCache")
          .withUri("/v5/imagecaches/{image_cache_id}")
          .withContentType("application/json")
          .<String>withRequestField(
              "image_cache_id",
              LocationType.Path,
              FieldExistence.NON_NULL_NON_EMPTY,
              String.class,
              field -> field.withMarshaller(ShowRequest::getImageCacheId, ShowRequest::setImageCacheId))
          .build();

  private static final HttpRequestDef<Request, Response> LIST_IMAGE_CACHES =
      HttpRequestDef.builder(HttpMethod.GET, Request.class, Response.class)
          .withName("ListImageCaches")
          .withUri("/v5/imagecaches")
          .withContentType("application/json")
          .<String>withRequestField(
              "name",
              LocationType.Query,
              FieldExistence.NULL_IGNORE,
              String.class,
              field -> field.withMarshaller(Request::getName, Request::setName))
          .build();

  private static void report(Map<String, Object> fields) throws Exception {
    System.out.println(new ObjectMapper().writeValueAsString(fields));
  }

  private static void reportNames(int status, List<String> names) throws Exception {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("ok", true);
    fields.put("status", status);
    fields.put("names", names);
    report(fields);
  }

  public static void main(String[] arguments) throws Exception {
    try {
      BasicCredentials credentials =
          new BasicCredentials()
              .withAk(System.getenv("HUAWEICLOUD_SDK_AK"))
              .withSk(System.getenv("HUAWEICLOUD_SDK_SK"))
              .withProjectId(System.getenv("HUAWEICLOUD_SDK_PROJECT_ID"));
      HcClient client =
          new ClientBuilder<>(built -> built)
              .withCredential(credentials)
              .withRegion(CceRegion.valueOf("cn-north-4"))
              .build();
      if (arguments.length > 1 && arguments[0].equals("--id")) {
        ShowRequest show = new ShowRequest();
        show.setImageCacheId(arguments[1]);
        ShowResponse shown = client.syncInvokeHttp(show, SHOW_IMAGE_CACHE);
        reportNames(shown.getHttpStatusCode(), List.of(shown.imageCache.name));
        return;
      }
      Request request = new Request();
      if (arguments.length > 0) request.setName(arguments[0]);
      Response response = client.syncInvokeHttp(request, LIST_IMAGE_CACHES);
      reportNames(
          response.getHttpStatusCode(),
          response.imageCaches.stream().map(imageCache -> imageCache.name).toList());
    } catch (ServiceResponseException refused) {
      Map<String, Object> fields = new LinkedHashMap<>();
      fields.put("ok", false);
      fields.put("status", refused.getHttpStatusCode());
      fields.put("requestId", refused.getRequestId());
      fields.put("code", refused.getErrorCode());
      fields.put("message", refused.getErrorMsg());
      report(fields);
    }
  }
}
