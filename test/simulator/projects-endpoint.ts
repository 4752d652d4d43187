import { type Answer, jsonAnswer } from './answers.ts';
import type { Project } from './image-caches-endpoint.ts';

export const PROJECTS_PATH = '/v3/projects';

const DOMAIN_ID = 'd0000000000000000000000000000001';

/** IAM's `GET /v3/projects[?name=]`: the projects of the account, filtered by exact name. */
export function answerProjects(query: URLSearchParams, projects: readonly Project[]): Answer {
  const name = query.get('name');
  const matching = projects.filter((project) => name === null || project.name === name);
  return jsonAnswer(
    200,
    {
      links: { self: 'https://iam.example.com/v3/projects', previous: null, next: null },
      projects: matching.map(({ id, name: projectName }) => ({
        id,
        name: projectName,
        domain_id: DOMAIN_ID,
        parent_id: DOMAIN_ID,
        is_domain: false,
        enabled: true,
        description: '',
        links: { self: `https://iam.example.com/v3/projects/${id}` },
      })),
    },
    [['X-IAM-Trace-Id', 'token_simulated_trace_0001']],
  );
}
